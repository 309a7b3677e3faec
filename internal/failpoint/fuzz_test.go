package failpoint

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzSettings reads what the environment says: what is taken is within bounds,
// and says the same written out.
func FuzzSettings(f *testing.F) {
	f.Add("append/committed=kill@37;append/committed=stop")
	f.Add(" ; append/committed=delay:20ms@1;")
	f.Add("append/committed=delay:-1s")
	f.Add("append/committed=kill:1@9223372036854775808")
	f.Fuzz(func(t *testing.T, text string) {
		settings, err := parseSettings(text)
		if err != nil {
			if settings != nil {
				t.Errorf("%q: there are settings and an error", text)
			}
			return
		}
		var parts []string
		for _, s := range settings {
			if s.at < 0 || (s.action == delay) != (s.delay > 0) {
				t.Errorf("%q is taken as %+v", text, s)
			}
			part := string(s.point) + "=" + string(s.action)
			if s.delay > 0 {
				part += ":" + s.delay.String()
			}
			if s.at > 0 {
				part += fmt.Sprintf("@%d", s.at)
			}
			parts = append(parts, part)
		}
		back, err := parseSettings(strings.Join(parts, ";"))
		if err != nil || fmt.Sprint(back) != fmt.Sprint(settings) {
			t.Errorf("%q is taken as %+v, and that as %+v, %v", text, settings, back, err)
		}
	})
}
