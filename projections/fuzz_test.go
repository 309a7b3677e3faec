package projections

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/57528e99/recount/eventstore"
)

// FuzzParseKey reads keys as people write them for a repair.
func FuzzParseKey(f *testing.F) {
	type pair struct {
		Day string
		N   int64
	}
	one := fuzzProjector[string](f)
	two := fuzzProjector[pair](f)
	number := fuzzProjector[int64](f)
	f.Add("42")
	f.Add(`["2026-01-01",1]`)
	f.Add(`["a",1e400]`)
	f.Add("a\x00b\xff")
	f.Add(`{"id":"a"}`)
	f.Add(`{"n":1,"day":"2026-01-01"}`)
	f.Fuzz(func(t *testing.T, text string) {
		_, shown := shownParts(one.layout.Key, text)
		if key, err := parseKey[string](one.layout, text); err == nil && utf8.ValidString(text) && !shown && key != text {
			t.Errorf("key %q is read as %q", text, key)
		}
		if key, err := parseKey[int64](number.layout, text); err == nil && !shown {
			if back, err := json.Marshal(key); err != nil || strings.TrimSpace(text) != string(back) && text[0] != '-' {
				t.Errorf("key %q is read as %d", text, key)
			}
		}
		key, err := parseKey[pair](two.layout, text)
		if err != nil {
			return
		}
		written, err := json.Marshal([]any{key.Day, key.N})
		if err != nil {
			t.Fatal(err)
		}
		asShown, err := json.Marshal(shownAs(two.layout.Key, reflect.ValueOf(key)))
		if err != nil {
			t.Fatal(err)
		}
		for _, written := range [][]byte{written, asShown} {
			if back, err := parseKey[pair](two.layout, string(written)); err != nil || back != key {
				t.Errorf("key %q is read as %+v, and that, as %s, as %+v, %v", text, key, written, back, err)
			}
		}
	})
}

func fuzzProjector[K comparable](f *testing.F) *foldProjector[K, struct{ Sum int64 }] {
	f.Helper()
	type happened struct{}
	codec, err := eventstore.NewCodec(eventstore.TypeOf[happened]("Happened", 1))
	if err != nil {
		f.Fatal(err)
	}
	fold := NewFold[K, struct{ Sum int64 }](Table{Name: "fuzzed", Version: 1})
	Upsert(fold, func(happened, Recorded) (key K) { return key }, func(*struct{ Sum int64 }, happened, Recorded) error { return nil })
	prepared, mistakes := fold.prepare(codec)
	if err := errors.Join(mistakes...); err != nil {
		f.Fatal(err)
	}
	return prepared.(*foldProjector[K, struct{ Sum int64 }])
}
