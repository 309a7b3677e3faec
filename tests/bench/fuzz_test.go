package bench

import (
	"bytes"
	"io"
	"testing"
	"unicode/utf8"
)

// FuzzReports reads what recount bench report may be given. What is read makes a
// page of text, and can be written and read again.
func FuzzReports(f *testing.F) {
	var sample bytes.Buffer
	for _, r := range sampleReports() {
		if err := r.WriteJSON(&sample); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(sample.Bytes())
	f.Add([]byte(`{"bench":"append","results":[{"name":"\u0000<","callers":-1,"events_per_second":-1e300},{"events_per_second":1e308}]}`))
	f.Add([]byte(`{"bench":"x","results":[{"question":"é: a@1","delivery":{"committed":-1,"missed":9223372036854775807}}],"ratios":{"@":0}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		reports, err := ReadAll(bytes.NewReader(text))
		if err != nil {
			return
		}
		if page := Render(reports); !utf8.Valid(page) {
			t.Errorf("of %q it makes a page that is no text: %q", text, page)
		}
		var again bytes.Buffer
		for _, r := range reports {
			if err := r.WriteJSON(&again); err != nil {
				t.Fatal(err)
			}
			if err := r.WriteTable(io.Discard); err != nil {
				t.Error(err)
			}
		}
		if back, err := ReadAll(&again); err != nil || len(back) != len(reports) {
			t.Errorf("%q is read back as %d reports, %v", text, len(back), err)
		}
	})
}
