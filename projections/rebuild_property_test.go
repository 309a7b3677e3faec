package projections

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/eventstore/memstore"
)

// TestRebuiltRowsAreTheFoldOfTheLog lets random histories happen, with what fails skipped, and
// rebuilds, verifies and rolls back between them, in much memory and in little.
func TestRebuiltRowsAreTheFoldOfTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	rapid.Check(t, func(t *rapid.T) {
		store := memstore.New(memstore.Config{})
		l := &bench{TB: b.TB, db: b.db, store: store, codec: b.codec, admin: NewAdmin(b.db.Pool, b.db.Schema, store)}
		f := newAccounts(1)
		f.table.Name = fmt.Sprintf("accounts%d", projectionsMade.Add(1))
		pool := l.newPool()
		defer pool.Close()
		c := l.config()
		c.Pool, c.BatchSize = pool, 3
		r, err := NewRunner(c, f)
		if err != nil {
			t.Fatal(err)
		}
		l.start(r)
		defer l.stop(r)
		kinds := rapid.SampledFrom([]Kind{Rebuild, Rollback, "", "", ""})
		for _, s := range histories.Draw(t, "history") {
			if len(s.events) > 0 {
				l.append(s.stream, s.events...)
			}
			kind := kinds.Draw(t, "kind")
			if kind == "" {
				continue
			}
			l.finish(f.Name())
			o := Options{Workers: rapid.IntRange(1, 3).Draw(t, "workers"), Verify: true}
			_, err := r.Run(b.Context(), Request{Kind: kind, Projection: f.Name(), Options: o, Actor: "test"}, nil)
			if err != nil && !strings.Contains(err.Error(), ErrNoGeneration.Error()) {
				t.Fatal(err)
			}
		}
		l.finish(f.Name())
		if err := l.compare(f); err != nil {
			t.Fatal(err)
		}
	})
}
