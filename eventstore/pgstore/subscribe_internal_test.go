package pgstore

import (
	"context"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgtest"
)

// Another reader may find that a backup took the log's place just when this one
// was woken up.
func TestABatchOfALogThatWasReset(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Pool: pgtest.New(t).Pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	const next = 100
	for name, f := range map[string]eventstore.Filter{"unfiltered": {}, "filtered": {Types: []string{"Happened"}}} {
		b, err := s.nextBatch(t.Context(), eventstore.Token{}, f, next, newSizer(eventstore.ReadOptions{}))
		if err != nil || b.Next != 0 {
			t.Errorf("%s: nextBatch = %+v, %v, want the zero batch", name, b, err)
		}
	}
}
