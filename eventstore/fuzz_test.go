package eventstore_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/57528e99/recount/eventstore"
)

// FuzzStreamNames covers every name and text that appends carry: they pass the
// same checks.
func FuzzStreamNames(f *testing.F) {
	for _, name := range []string{"order-42", "order", "-", "$$a", "a-b-c", "\xff", "a\x00", "\u0085", strings.Repeat("é", 256)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if err := eventstore.ValidateStream(name); err != nil {
			var invalid *eventstore.InvalidError
			if !errors.As(err, &invalid) || len(err.Error()) > 300 {
				t.Errorf("ValidateStream(%q) = %v, want a short *InvalidError", name, err)
			}
			return
		}
		if name == "" || len(name) > 512 || name[0] == '$' || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
			t.Errorf("ValidateStream takes %q", name)
		}
		category, id := eventstore.Category(name), eventstore.StreamID(name)
		if category+"-"+id != name && (category != name || id != "") {
			t.Errorf("%q is of category %q and id %q", name, category, id)
		}
		text, err := json.Marshal(name)
		var back string
		if err != nil || json.Unmarshal(text, &back) != nil || back != name {
			t.Errorf("%q comes back from JSON as %q", name, back)
		}
	})
}
