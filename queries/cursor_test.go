package queries

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/internal/rowmap"
)

type someList struct{ Country, By string }

type somePlace struct {
	At    time.Time
	ID    string
	Value int64
}

func TestACursorLeadsBack(t *testing.T) {
	orders := someList{Country: "EIRE"}
	want := somePlace{At: time.Date(2026, 3, 1, 10, 0, 0, 1000, time.UTC), ID: "42"}
	cursor, err := newCursor(orders, want)
	if err != nil {
		t.Fatal(err)
	}
	var got somePlace
	if err := parseCursor(cursor, orders, &got); err != nil || got != want {
		t.Errorf("the cursor of %v leads to %v, %v", want, got, err)
	}
	if err := parseCursor(cursor, someList{Country: "eire"}, &got); !errors.Is(err, ErrInvalidCursor) {
		t.Errorf("the cursor in another list: %v, want ErrInvalidCursor", err)
	}
}

// The checksum is no secret.
func TestForgedCursors(t *testing.T) {
	for _, forged := range []any{
		"text", []int{1}, map[string]any{"Value": "one"}, map[string]any{"ID": 1},
	} {
		cursor, err := newCursor(someList{}, forged)
		if err != nil {
			t.Fatal(err)
		}
		if err := parseCursor(cursor, someList{}, new(somePlace)); !errors.Is(err, ErrInvalidCursor) {
			t.Errorf("a cursor of %v: %v, want ErrInvalidCursor", forged, err)
		}
	}
}

// The database takes no NUL in a text, but what reads like one in JSON.
func TestPlacesInAList(t *testing.T) {
	id, err := rowmap.Scalar(reflect.TypeFor[string](), "id")
	if err != nil {
		t.Fatal(err)
	}
	ids := order{columns: []rowmap.Column{id}}
	for place, want := range map[string]error{"a\x00b": ErrInvalidCursor, `a\u0000b`: nil} {
		cursor, err := ids.cursor("list", func(rowmap.Column) any { return place })
		if err != nil {
			t.Fatal(err)
		}
		_, args, err := ids.after(cursor, "list", nil)
		if !errors.Is(err, want) || err == nil && args[0] != place {
			t.Errorf("the cursor of %q leads to %q, %v", place, args, err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	cursor, err := newCursor(someList{By: "day"}, somePlace{Value: 1, ID: "2026-03-01"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cursor)
	f.Add(strings.ToLower(cursor))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		var got somePlace
		switch err := parseCursor(text, someList{By: "day"}, &got); {
		case err == nil && text != cursor:
			t.Errorf("%q is taken for a cursor", text)
		case err != nil && !errors.Is(err, ErrInvalidCursor):
			t.Errorf("%q: %v, want ErrInvalidCursor", text, err)
		}
	})
}
