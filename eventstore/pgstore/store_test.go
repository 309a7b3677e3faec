package pgstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// open opens a store on db, and closes it when the test ends.
func open(t testing.TB, db *pgtest.DB, change ...func(*pgstore.Config)) *pgstore.Store {
	t.Helper()
	cfg := pgstore.Config{Pool: db.Pool}
	for _, f := range change {
		f(&cfg)
	}
	s, err := pgstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}
