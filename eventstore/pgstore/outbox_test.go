package pgstore_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// TestRelay: rows of transactions that commit late, of relays that run at once, and that come again are in the log, each once, in their order.
func TestRelay(t *testing.T) {
	t.Parallel()
	for _, deletes := range []bool{false, true} {
		t.Run(fmt.Sprintf("delete %v", deletes), func(t *testing.T) {
			t.Parallel()
			db := logtest.New(t)
			ctx := t.Context()
			store, err := pgstore.Open(ctx, pgstore.Config{Pool: db.Pool})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close(context.WithoutCancel(ctx)) })
			exec := func(sql string, args ...any) {
				t.Helper()
				if _, err := db.Pool.Exec(ctx, sql, args...); err != nil {
					t.Fatal(err)
				}
			}
			exec(`CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, type text, payload jsonb, customer text, at timestamptz DEFAULT now())`)
			const insert = `INSERT INTO outbox (type, payload, customer) VALUES ('Noted', $1, $2)`
			o := pgstore.Outbox{Table: "outbox", Key: "customer", Created: "at", Delete: deletes, Batch: 3}
			relay := func() int {
				t.Helper()
				n, err := store.Relay(ctx, o)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			late, err := db.Pool.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer late.Rollback(context.WithoutCancel(ctx))
			if _, err := late.Exec(ctx, insert, `{"n":"late"}`, "ann"); err != nil { // it has the first number
				t.Fatal(err)
			}
			for n := range 7 {
				exec(insert, fmt.Sprintf(`{"n":%d}`, n), []string{"ann", "bob"}[n%2])
			}
			done := make(chan error, 2)
			for range 2 {
				go func() {
					_, err := store.Relay(ctx, o)
					done <- err
				}()
			}
			if deletes {
				for range 2 { // they wait for nobody
					if err := <-done; err != nil {
						t.Fatal(err)
					}
				}
			} else {
				select {
				case err := <-done:
					t.Fatalf("the relay ends with %v beside a row that may be there yet", err)
				case <-time.After(100 * time.Millisecond):
				}
			}
			if err := late.Commit(ctx); err != nil {
				t.Fatal(err)
			}
			if !deletes {
				for range 2 {
					if err := <-done; err != nil {
						t.Fatal(err)
					}
				}
			}
			relay()
			if n := relay(); n != 0 {
				t.Errorf("it relays %d rows again", n)
			}
			want := []string{`ann {"n": "late"}`, `ann {"n": 0}`, `bob {"n": 1}`, `ann {"n": 2}`, `bob {"n": 3}`, `ann {"n": 4}`, `bob {"n": 5}`, `ann {"n": 6}`}
			if deletes { // in the order in which they were there
				want = append(want[1:], want[0])
			}
			read := func() (got []string) {
				for e, err := range store.ReadAll(ctx, eventstore.ReadOptions{}) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, eventstore.StreamID(e.Stream)+" "+string(e.Data))
				}
				return got
			}
			if got := read(); !slices.Equal(got, want) {
				t.Errorf("the log has\n%q, want\n%q", got, want)
			}
			var left int
			if err := db.Pool.QueryRow(ctx, `SELECT count(*) FROM outbox`).Scan(&left); err != nil || (left == 0) != deletes {
				t.Errorf("%d rows are left, %v", left, err)
			}
			// As after the database of the outbox was restored.
			if deletes {
				exec(`INSERT INTO outbox OVERRIDING SYSTEM VALUE VALUES (3, 'Noted', '{"n": 1}', 'bob', now()), (100, 'Noted', '{"n": "new"}', 'bob', now())`)
			} else {
				exec(`UPDATE recount.relays SET position = 6`)
				exec(`INSERT INTO outbox OVERRIDING SYSTEM VALUE VALUES (100, 'Noted', '{"n": "new"}', 'bob', now())`)
			}
			relay()
			if got := read(); !slices.Equal(got, append(want, `bob {"n": "new"}`)) {
				t.Errorf("after some came again the log has\n%q, want the new one in addition", got)
			}
		})
	}
	db := logtest.New(t)
	store, err := pgstore.Open(t.Context(), pgstore.Config{Pool: db.Pool})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(context.WithoutCancel(t.Context()))
	if _, err := db.Pool.Exec(t.Context(), `CREATE TABLE public.by_uuid (id uuid, type text, payload text)`); err != nil {
		t.Fatal(err)
	}
	for _, o := range []pgstore.Outbox{{}, {Table: "by_uuid"}, {Table: "by_uuid", Order: "nothing"}, {Table: "by_uuid", Delete: true, Key: "a", Stream: "b"}} {
		if _, err := store.Relay(t.Context(), o); eventstore.ClassOf(err) != eventstore.ClassInvalid {
			t.Errorf("Relay(%+v) = %v, want that it is invalid", o, err)
		}
	}
}
