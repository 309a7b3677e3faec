package pgstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
)

func TestCheckWritable(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	want := func(text string) {
		t.Helper()
		err := s.CheckWritable(t.Context())
		if (err == nil) != (text == "") || err != nil && (!errors.Is(err, eventstore.ErrUnavailable) || !strings.Contains(err.Error(), text)) {
			t.Errorf("CheckWritable = %v, want %q", err, text)
		}
	}
	mustAppend(t, s, happened("a-1", 1))
	want("")

	exec(t, db, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$`)
	exec(t, db, `CREATE TRIGGER refuse BEFORE INSERT ON recount.events EXECUTE FUNCTION refuse()`)
	if _, err := s.Append(t.Context(), happened("a-1", 2), eventstore.AppendOptions{}); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Fatalf("append to a full disk: %v, want ErrUnavailable", err)
	}
	eventually(t, "the check knows", func() bool { return s.CheckWritable(t.Context()) != nil })
	for range 2 { // the first is over with when the second is answered
		_, err := s.Append(t.Context(), eventstore.StreamAppend{Stream: "a-1", Expected: eventstore.NoStream, Events: happened("a-1", 3).Events}, eventstore.AppendOptions{})
		if !errors.Is(err, eventstore.ErrConflict) {
			t.Fatalf("append to a stream that is there: %v, want ErrConflict", err)
		}
	}
	want("disk is full") // they wrote nothing
	exec(t, db, `DROP TRIGGER refuse ON recount.events`)
	mustAppend(t, s, happened("a-1", 2))
	eventually(t, "the check knows that it is over", func() bool { return s.CheckWritable(t.Context()) == nil })

	exec(t, db, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`)
	db.Pool.Reset()
	want("read-only")
	exec(t, db, `SET TRANSACTION READ WRITE;
		DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$`)
	want("")
	exec(t, db, `CREATE TABLE taken ()`) // by a session of the pool
}

// Anybody may ask whether the server is ready: that must not take all the
// sessions that the database has.
func TestCheckWritableTakesNoMoreSessionsThanThePoolHas(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	begun, goOn := make(chan struct{}, 3), make(chan struct{}, 3)
	pool := db.NewPool(t, func(c *pgxpool.Config) {
		c.MaxConns = 1
		c.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
		c.BeforeConnect = func(ctx context.Context, _ *pgx.ConnConfig) error {
			begun <- struct{}{}
			select {
			case <-goOn:
			case <-ctx.Done():
			}
			return ctx.Err()
		}
	})
	open(t, db) // the log has to have an identity
	goOn <- struct{}{}
	s := open(t, db, func(c *pgstore.Config) { c.Pool, c.NoListen, c.ReceiptTTL = pool, true, -1 })
	<-begun
	first := make(chan error)
	go func() { first <- s.CheckWritable(t.Context()) }()
	<-begun // asks a new session
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.CheckWritable(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("CheckWritable beside another = %v, want to wait for it", err)
	}
	select {
	case <-begun:
		t.Error("it asked a new session meanwhile")
	default:
	}
	close(goOn)
	if err := <-first; err == nil {
		t.Error("CheckWritable of a read-only database = nil")
	}
}
