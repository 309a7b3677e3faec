package pgstore_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// TestRelay: rows of transactions that commit late, of relays that run at once, and that come again are in the log, each once, in their order.
func TestRelay(t *testing.T) {
	t.Parallel()
	for _, deletes := range []bool{false, true} {
		t.Run(fmt.Sprintf("delete %v", deletes), func(t *testing.T) {
			t.Parallel()
			db := newLog(t)
			ctx := t.Context()
			asked := make(writersAsked, 1000)
			store := open(t, db, func(c *pgstore.Config) {
				c.Pool = changedPool(t, db, func(c *pgx.ConnConfig) { c.Tracer = asked })
			})
			exec := func(sql string, args ...any) {
				t.Helper()
				if _, err := db.Pool.Exec(ctx, sql, args...); err != nil {
					t.Fatal(err)
				}
			}
			exec(`CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY (MINVALUE -1) PRIMARY KEY, type text, payload jsonb, customer text, at timestamptz DEFAULT now())`)
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
			read := func() (got []string) {
				for e, err := range store.ReadAll(ctx, eventstore.ReadOptions{}) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, eventstore.StreamID(e.Stream)+" "+string(e.Data))
				}
				return got
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
				for range 5 { // so one has seen the writer twice, and waits
					select {
					case err := <-done:
						t.Fatalf("the relay ends with %v beside a row that may be there yet", err)
					case <-asked:
					}
				}
				if got := read(); len(got) > 0 {
					t.Fatalf("the log has %q beside a row that may be there yet", got)
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
			if got := read(); !slices.Equal(got, want) {
				t.Errorf("the log has\n%q, want\n%q", got, want)
			}
			var left int
			if err := db.Pool.QueryRow(ctx, `SELECT count(*) FROM outbox`).Scan(&left); err != nil || (left == 0) != deletes {
				t.Errorf("%d rows are left, %v", left, err)
			}
			// As after the database of the outbox was restored.
			if deletes {
				exec(`INSERT INTO outbox OVERRIDING SYSTEM VALUE VALUES (1, 'Noted', '{"n": 1}', 'bob', now()), (100, 'Noted', '{"n": "new"}', 'bob', now())`)
			} else {
				exec(`UPDATE recount.relays SET position = 4`)
				exec(`INSERT INTO outbox OVERRIDING SYSTEM VALUE VALUES (100, 'Noted', '{"n": "new"}', 'bob', now())`)
			}
			relay()
			if got := read(); !slices.Equal(got, append(want, `bob {"n": "new"}`)) {
				t.Errorf("after some came again the log has\n%q, want the new one in addition", got)
			}
		})
	}
}

// writersAsked gets a message each time when a relay asks who writes to its table.
type writersAsked chan struct{}

func (a writersAsked) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, "FROM pg_locks") {
		select {
		case a <- struct{}{}:
		default:
		}
	}
	return ctx
}

func (writersAsked) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestRelayRefusesTables whose rows it could lose, or delete others for.
func TestRelayRefusesTables(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	store := open(t, db)
	const columns = ` type text DEFAULT 'Noted', payload text DEFAULT '' `
	if _, err := db.Pool.Exec(t.Context(), `
CREATE TABLE parted (id bigint PRIMARY KEY,`+columns+`) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF parted DEFAULT;
CREATE TABLE parent (id bigint PRIMARY KEY,`+columns+`); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
CREATE VIEW seen AS SELECT * FROM parent;
CREATE TABLE by_uuid (id uuid PRIMARY KEY, n bigint, other bigint NOT NULL, twice bigint NOT NULL, positive bigint NOT NULL,`+columns+`, UNIQUE (n), UNIQUE (twice, other));
CREATE UNIQUE INDEX ON by_uuid (positive) WHERE positive > 0;
CREATE TABLE ahead (id bigint GENERATED ALWAYS AS IDENTITY (CACHE 2) PRIMARY KEY,`+columns+`)`, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	for _, o := range []pgstore.Outbox{
		{}, {Table: "nothing"}, {Table: "by_uuid", Delete: true, Key: "a", Stream: "b"},
		{Table: "parted"}, {Table: "parted", Delete: true}, {Table: "part"}, {Table: "part", Delete: true},
		{Table: "parent"}, {Table: "parent", Delete: true}, {Table: "seen"}, {Table: "seen", Delete: true},
		{Table: "by_uuid"}, {Table: "by_uuid", Order: "nothing"}, {Table: "by_uuid", Order: "n"}, {Table: "by_uuid", Order: "other"},
		{Table: "by_uuid", Order: "twice"}, {Table: "by_uuid", Order: "positive"}, {Table: "ahead"},
	} {
		if _, err := store.Relay(t.Context(), o); eventstore.ClassOf(err) != eventstore.ClassInvalid {
			t.Errorf("Relay(%+v) = %v, want that it is invalid", o, err)
		}
	}
	for _, o := range []pgstore.Outbox{{Table: "child"}, {Table: "by_uuid", Delete: true}, {Table: "ahead", Delete: true}} {
		if _, err := store.Relay(t.Context(), o); err != nil {
			t.Errorf("Relay(%+v) = %v", o, err)
		}
	}
}

// TestRelayNamesBadRows: it appends what is before one, also rows that are too large together, and refuses numbers that begin anew.
func TestRelayNamesBadRows(t *testing.T) {
	t.Parallel()
	for _, deletes := range []bool{false, true} {
		t.Run(fmt.Sprintf("delete %v", deletes), func(t *testing.T) {
			t.Parallel()
			db := newLog(t)
			store := open(t, db, func(c *pgstore.Config) { c.Limits.AppendBytes = 1000 })
			exec := func(sql string, args ...any) {
				t.Helper()
				if _, err := db.Pool.Exec(t.Context(), sql, args...); err != nil {
					t.Fatal(err)
				}
			}
			exec(`CREATE TABLE outbox (n bigint GENERATED ALWAYS AS IDENTITY UNIQUE, id text, type text, payload text, at text)`)
			o := pgstore.Outbox{Table: "outbox", Order: "n", Created: "at", Delete: deletes}
			relay := func(want int, words ...string) {
				t.Helper()
				n, err := store.Relay(t.Context(), o)
				if n != want || (err == nil) != (words == nil) {
					t.Errorf("Relay = %d, %v; want %d, and an error with %q", n, err, want, words)
				}
				for _, word := range words {
					if !strings.Contains(fmt.Sprint(err), word) {
						t.Errorf("Relay = %v, want that it says %q", err, word)
					}
				}
			}
			exec(`INSERT INTO outbox (id, type, payload, at) SELECT 'id-' || n, CASE WHEN n <> 6 THEN 'Noted' END, repeat('a', 300),
				CASE n WHEN 8 THEN 'infinity' WHEN 9 THEN 'one day' ELSE 'now' END FROM generate_series(1, 10) n`)
			relay(5, "outbox", `id "id-6"`, "n 6")
			relay(0, "outbox", `id "id-6"`, "n 6")
			exec(`UPDATE outbox SET type = 'Noted' WHERE n = 6`)
			relay(2, `id "id-8"`, "n 8")
			exec(`DELETE FROM outbox WHERE n = 8`)
			relay(0, "next", "one day")
			exec(`UPDATE outbox SET at = NULL, id = NULL WHERE n = 9`)
			relay(0, "id NULL", "n 9")
			exec(`DELETE FROM outbox WHERE n = 9`)
			relay(1)
			if o.Table = db.Schema + ".outbox"; deletes {
				return
			}
			relay(0)
			exec(`TRUNCATE outbox RESTART IDENTITY`)
			relay(0)
			exec(`INSERT INTO outbox (id, type, payload) VALUES ('id-11', 'Noted', '')`)
			relay(0, "n 1", "up to 10")
			exec(`ALTER TABLE outbox ALTER n RESTART WITH 11`)
			exec(`UPDATE outbox SET n = DEFAULT`)
			relay(1)
		})
	}
}
