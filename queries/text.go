package queries

import (
	"strings"
	"unicode/utf8"
)

// storable reports whether PostgreSQL takes a parameter, if it is text: no row has any other.
func storable(arg any) bool {
	s, ok := arg.(string)
	return !ok || utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
