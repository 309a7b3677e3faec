package chaos

import (
	"testing"

	"github.com/google/uuid"
)

func TestRowsAndEventsBelongTogether(t *testing.T) {
	id := uuid.New()
	one, none := []uuid.UUID{id}, []uuid.UUID{}
	for name, c := range map[string]struct {
		rows, acked []uuid.UUID
		event       bool
		want        int
	}{
		"all there":                        {one, one, true, 0},
		"a row whose append got no answer": {one, none, true, 0},
		"an event without a row":           {none, none, true, 0},
		"a row without its event":          {one, none, false, 1},
		"an acknowledged one without row":  {none, one, true, 1},
	} {
		if got := sideBySide(c.rows, c.acked, map[uuid.UUID]bool{id: c.event}); len(got) != c.want {
			t.Errorf("%s: %v, want %d violations", name, got, c.want)
		}
	}
}
