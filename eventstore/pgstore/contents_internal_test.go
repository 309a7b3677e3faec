package pgstore

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgtest"
)

func openPlain(t *testing.T, db *pgtest.DB) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Pool: db.Pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestContentsAreCountedOnce lets processes count, in small steps, a log that grows meanwhile.
func TestContentsAreCountedOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var stores []*Store
	for range 3 {
		s := openPlain(t, db)
		s.contentsStep = 7
		stores = append(stores, s)
	}
	const appends = 100
	var all sync.WaitGroup
	for i, s := range stores {
		all.Go(func() {
			for n := range appends {
				e := eventstore.Event{Type: fmt.Sprint("T", n%3), SchemaVersion: 1 + n%2}
				a := eventstore.StreamAppend{Stream: fmt.Sprintf("c%d-%d", i, n), Expected: eventstore.NoStream, Events: []eventstore.Event{e, e}}
				if _, err := s.Append(t.Context(), a, eventstore.AppendOptions{}); err != nil {
					t.Error(err)
				}
				if n%10 == 0 {
					if _, err := s.Contents(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	got, err := stores[0].Contents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	type key struct {
		category, name string
		version        int
	}
	want := make(map[key]eventstore.Content)
	for e, err := range stores[0].ReadAll(t.Context(), eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		k := key{eventstore.Category(e.Stream), e.Type, e.SchemaVersion}
		c, ok := want[k]
		if !ok {
			c = eventstore.Content{Category: k.category, Type: k.name, SchemaVersion: k.version, First: e.Position}
		}
		c.Events++
		want[k] = c
	}
	for _, c := range got {
		if k := (key{c.Category, c.Type, c.SchemaVersion}); c != want[k] {
			t.Errorf("Contents has %+v, the log has %+v", c, want[k])
		}
	}
	if len(got) != len(want) {
		t.Errorf("Contents has %d entries, want %d", len(got), len(want))
	}
	var counted int64
	if err := db.Pool.QueryRow(t.Context(), `SELECT position FROM recount.log_contents_position`).Scan(&counted); err != nil || counted < 2*3*appends-7 {
		t.Errorf("the table is at %d, %v; want it less than a step before %d", counted, err, 2*3*appends)
	}
}
