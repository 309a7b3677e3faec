package eventstore_test

import (
	"bytes"
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

// FuzzParseStreamMetadata reads what metadata streams may hold, as others may
// have written it: no number that is taken makes a store hide what it should
// show.
func FuzzParseStreamMetadata(f *testing.F) {
	for _, text := range []string{"{}", "null", "", `{"$maxAge":4611686018427387904}`, `{"$maxCount":-1}`, `{"$tb":1e400}`,
		`{"$maxCount":9223372036854775807,"$tb":0,"$acl":{}}`, `{"$maxAge":1}{}`, `{"$maxAge":"1"}`, `[1]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := eventstore.ParseStreamMetadata(data)
		if err != nil {
			if m != (eventstore.StreamMetadata{}) || !errors.Is(err, eventstore.ErrCorrupt) || errors.Is(err, eventstore.ErrInvalid) {
				t.Errorf("ParseStreamMetadata(%q) = %+v, %v, want ErrCorrupt alone", data, m, err)
			}
			return
		}
		if m.MaxCount < 0 || m.TruncateBefore < 0 || m.MaxAge.Duration() < 0 {
			t.Errorf("ParseStreamMetadata takes %q as %+v", data, m)
		}
		if i := (eventstore.StreamInfo{Version: 7, Metadata: m}); i.FirstShown() < 0 {
			t.Errorf("with %+v the first version shown is %d", m, i.FirstShown())
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := eventstore.ParseStreamMetadata(text); err != nil || back != m {
			t.Errorf("%s is read back as %+v, %v", text, back, err)
		}
	})
}

func FuzzDigest(f *testing.F) {
	f.Add([]byte("000102030405060708090a0b0c0d0e0f"))
	f.Add([]byte("0"))
	f.Add(bytes.Repeat([]byte("Z"), 32))
	f.Fuzz(func(t *testing.T, text []byte) {
		var d eventstore.Digest
		if err := d.UnmarshalText(text); err == nil && !strings.EqualFold(d.String(), string(text)) {
			t.Errorf("%q is read as %s", text, d)
		}
	})
}
