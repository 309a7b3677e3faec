package queries_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/queries"
)

type list struct{ Country, By string }

type place struct {
	At    time.Time
	ID    string
	Value int64
}

func TestACursorLeadsBack(t *testing.T) {
	orders := list{Country: "EIRE"}
	want := place{At: time.Date(2026, 3, 1, 10, 0, 0, 1000, time.UTC), ID: "42"}
	cursor, err := queries.NewCursor(orders, want)
	if err != nil {
		t.Fatal(err)
	}
	var got place
	if err := queries.ParseCursor(cursor, orders, &got); err != nil || got != want {
		t.Errorf("the cursor of %v leads to %v, %v", want, got, err)
	}
	if err := queries.ParseCursor(cursor, list{Country: "eire"}, &got); !errors.Is(err, queries.ErrInvalidCursor) {
		t.Errorf("the cursor in another list: %v, want ErrInvalidCursor", err)
	}
}

// The checksum is no secret. What somebody makes with it must not get as far as
// the database, which takes no NUL in a text.
func TestForgedCursors(t *testing.T) {
	for _, forged := range []any{
		place{ID: "a\x00b"}, "text", []int{1}, map[string]any{"Value": "one"}, map[string]any{"ID": 1},
	} {
		cursor, err := queries.NewCursor(list{}, forged)
		if err != nil {
			t.Fatal(err)
		}
		if err := queries.ParseCursor(cursor, list{}, new(place)); !errors.Is(err, queries.ErrInvalidCursor) {
			t.Errorf("a cursor of %v: %v, want ErrInvalidCursor", forged, err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	cursor, err := queries.NewCursor(list{By: "day"}, place{Value: 1, ID: "2026-03-01"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cursor)
	f.Add(strings.ToLower(cursor))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		var got place
		switch err := queries.ParseCursor(text, list{By: "day"}, &got); {
		case err == nil && text != cursor:
			t.Errorf("%q is taken for a cursor", text)
		case err != nil && !errors.Is(err, queries.ErrInvalidCursor):
			t.Errorf("%q: %v, want ErrInvalidCursor", text, err)
		}
	})
}
