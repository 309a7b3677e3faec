package shop

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/queries"
)

func TestACursorLeadsBack(t *testing.T) {
	list := orderFilter{Country: "EIRE"}
	want := orderPlace{time.Date(2026, 3, 1, 10, 0, 0, 1000, time.UTC), "42"}
	cursor, err := newCursor(list, want)
	if err != nil {
		t.Fatal(err)
	}
	var got orderPlace
	if err := parseCursor(string(cursor), list, &got); err != nil || got != want {
		t.Errorf("the cursor of %v leads to %v, %v", want, got, err)
	}
	if err := parseCursor(string(cursor), orderFilter{Country: "eire"}, &got); !errors.Is(err, queries.ErrInvalidCursor) {
		t.Errorf("the cursor in another list: %v, want ErrInvalidCursor", err)
	}
}

// The checksum is no secret. What somebody makes with it must not get as far as
// the database, which takes no NUL in a text.
func TestForgedCursors(t *testing.T) {
	for _, place := range []any{
		salePlace{Label: "a\x00b"}, "text", []int{1}, map[string]any{"Value": "one"}, map[string]any{"Label": 1},
	} {
		cursor, err := newCursor(salesList{}, place)
		if err != nil {
			t.Fatal(err)
		}
		if err := parseCursor(string(cursor), salesList{}, new(salePlace)); !errors.Is(err, queries.ErrInvalidCursor) {
			t.Errorf("a cursor of %v: %v, want ErrInvalidCursor", place, err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	cursor, err := newCursor(salesList{By: "day"}, salePlace{Value: 1, Label: "2026-03-01", Currency: "EUR"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(cursor))
	f.Add(strings.ToLower(string(cursor)))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		var place salePlace
		switch err := parseCursor(text, salesList{By: "day"}, &place); {
		case err == nil && text != string(cursor):
			t.Errorf("%q is taken for a cursor", text)
		case err != nil && !errors.Is(err, queries.ErrInvalidCursor):
			t.Errorf("%q: %v, want ErrInvalidCursor", text, err)
		}
	})
}
