package pgstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/migrations"
)

// A channel of PostgreSQL has a name of 63 bytes at most, like a schema. Two
// schemas whose long names begin alike have notifications of their own.
func TestSchemasWithLongNamesNotify(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	in := func(schema string) *pgstore.Store {
		if _, err := migrations.Up(t.Context(), db.DSN, schema); err != nil {
			t.Fatal(err)
		}
		return open(t, db, func(c *pgstore.Config) { c.Schema, c.PollInterval = schema, time.Hour })
	}
	long := strings.Repeat("é", 31) // two bytes each
	writer, reader, other := in(long+"a"), in(long+"a"), in(long+"b")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	arrived := make(chan error, 1)
	// It begins with an empty log, so that only a notification can tell it of more.
	go func() {
		for _, err := range reader.Subscribe(ctx, eventstore.ReadOptions{From: 1}) {
			arrived <- err
			return
		}
	}()
	eventually(t, "the subscription waits", func() bool { return reader.Stats().Subscriptions == 1 })
	for { // a notification before the reader listens is lost
		mustAppend(t, writer, happened("a-1", 1))
		select {
		case err := <-arrived:
			if err != nil {
				t.Errorf("the other process was not told of an append: %v", err)
			}
			if head := other.Stats().Head; head != 0 {
				t.Errorf("the log in another schema is at %d, want 0", head)
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}
