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
	})
}
