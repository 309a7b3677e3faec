package rowmap

import (
	"strings"
	"testing"
	"unicode"
)

func FuzzNames(f *testing.F) {
	for _, name := range []string{"CustomerID", "HTTPServer", "a_B", "ÄÖ", `q"q`, "\xff", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		column := SnakeCase(name)
		if SnakeCase(column) != column && !strings.ContainsFunc(column, unicode.IsUpper) {
			t.Errorf("SnakeCase(%q) = %q, of which it makes %q", name, column, SnakeCase(column))
		}
		quoted := Quote(name)
		inner, ok := strings.CutPrefix(quoted, `"`)
		inner, ok2 := strings.CutSuffix(inner, `"`)
		if !ok || !ok2 || strings.Contains(strings.ReplaceAll(inner, `""`, ""), `"`) {
			t.Errorf("Quote(%q) = %s, out of which it breaks", name, quoted)
		}
	})
}
