package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/operations"
)

// placeOrders writes n orders, with long descriptions, to the log.
func placeOrders(t *testing.T, db *pgtest.DB, n int) {
	t.Helper()
	store, err := pgstore.Open(t.Context(), pgstore.Config{Pool: db.Pool})
	if err != nil {
		t.Fatal(err)
	}
	var writers errgroup.Group
	writers.SetLimit(32)
	for i := range n {
		writers.Go(func() error {
			data := fmt.Sprintf(`{"id":"%d","country":"Norway","currency":"NOK","total_minor":450,"at":"2026-01-%02dT00:00:00Z",
				"lines":[{"sku":"TEA","description":"%s","quantity":1,"unit_price_minor":450}]}`, i, 1+i%28, strings.Repeat("green ", 100))
			_, err := store.Append(t.Context(), eventstore.StreamAppend{
				Stream: fmt.Sprintf("order-%d", i), Expected: eventstore.Any, Events: []eventstore.Event{{Type: "OrderPlaced", Data: []byte(data)}},
			}, eventstore.AppendOptions{})
			return err
		})
	}
	if err := writers.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// holdBuckets keeps rebuilds from putting buckets into their tables where a condition holds, in
// SQL, until release is called.
func holdBuckets(t *testing.T, db *pgtest.DB, where string) (release func()) {
	t.Helper()
	_, err := db.Pool.Exec(t.Context(), `
CREATE FUNCTION hold_buckets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF `+where+` THEN
        PERFORM set_config('lock_timeout', '0', true);
        PERFORM pg_advisory_xact_lock_shared(4711);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER hold_buckets BEFORE INSERT ON recount.projection_buckets FOR EACH STATEMENT EXECUTE FUNCTION hold_buckets()`)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) }) // it is over already unless the test has failed
	if _, err := tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock(4711)`); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// bucketsDone is how many buckets of rebuilds are in their tables.
func bucketsDone(t *testing.T, db *pgtest.DB) (n int) {
	t.Helper()
	if err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM recount.projection_buckets`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestARebuildGoesOnAfterAKill kills a rebuild on the command line when a part of its rows is in
// the table, and runs it again.
func TestARebuildGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	placeOrders(t, db, 3000)
	// It takes some three passes over the log; what the first one makes comes in, and nothing behind
	// it.
	release := holdBuckets(t, db, `EXISTS (SELECT FROM recount.projection_buckets)`)
	args := []string{"projections", "rebuild", "orders", "--database", db.DSN, "--memory", "1", "--workers", "1", "-o", "json"}
	first := startProcess(t, args...)
	until(t, "some buckets are done", func() bool { return bucketsDone(t, db) > 0 })
	first.signal(t, syscall.SIGKILL)
	first.exit(t)
	kept := bucketsDone(t, db)
	if kept == 0 || kept == 256 {
		t.Fatalf("%d buckets were done at the kill, want some", kept)
	}
	release()
	again := startProcess(t, args...)
	if code := again.exit(t); code != cli.ExitOK {
		t.Fatalf("exit code %d, want 0", code)
	}
	text, _ := again.stdout.read()
	var done struct{ Items []operations.Operation }
	if err := json.Unmarshal([]byte(text), &done); err != nil || done.Items[0].State != operations.Done {
		t.Fatalf("it printed %s (%v), want an operation that is done", text, err)
	}
	var operations int
	if err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM recount.projection_operations`).Scan(&operations); err != nil || operations != 1 {
		t.Errorf("there are %d operations (%v), want the one that went on", operations, err)
	}
	if code := startProcess(t, "projections", "verify", "orders", "--database", db.DSN).exit(t); code != cli.ExitOK {
		t.Errorf("verify: exit code %d, want 0", code)
	}
	if _, err := db.Pool.Exec(t.Context(), `UPDATE recount.orders_g1 SET total_minor = 1 WHERE id = '7'`); err != nil {
		t.Fatal(err)
	}
	verify := startProcess(t, "projections", "verify", "orders", "--database", db.DSN)
	if code := verify.exit(t); code != cli.ExitCheckFailed {
		t.Errorf("verify of damaged rows: exit code %d, want 8", code)
	}
	if text, _ := verify.stdout.read(); !strings.Contains(text, `"total_minor":1`) && !strings.Contains(text, "order-7") {
		t.Errorf("verify printed %s, want the row and its event", text)
	}
}

// TestAServerGoesOnWithARebuild kills the server that works on it; reads of another go on
// meanwhile, and it goes on with the rebuild.
func TestAServerGoesOnWithARebuild(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	placeOrders(t, db, 1500)
	one, urlOne := startServe(t, db)
	until(t, "the orders are there", func() bool { return call(t, "GET", urlOne+"/v1/orders/1499", "").status == http.StatusOK })
	release := holdBuckets(t, db, `true`)
	asked := call(t, "POST", urlOne+"/v1/projections/orders/rebuild", "")
	if asked.status != http.StatusAccepted {
		t.Fatalf("POST = %d %s, want 202", asked.status, asked.body)
	}
	until(t, "the server works on it", func() bool {
		return strings.Contains(call(t, "GET", urlOne+asked.header.Get("Location"), "").body, `"owner":"`)
	})
	_, urlTwo := startServe(t, db)
	one.signal(t, syscall.SIGKILL)
	one.exit(t)
	release()
	until(t, "the other one has done it", func() bool {
		if got := call(t, "GET", urlTwo+"/v1/orders/7", ""); got.status != http.StatusOK {
			t.Errorf("a read during the rebuild = %d %s", got.status, got.body)
		}
		return strings.Contains(call(t, "GET", urlTwo+asked.header.Get("Location"), "").body, `"state":"done"`)
	})
	// By way of the server, from the command line.
	for _, c := range [][]string{{"rebuild", "orders"}, {"verify", "--all"}, {"rollback", "orders"}, {"repair", "orders", "7"},
		{"ls"}, {"show", "orders"}} {
		p := startProcess(t, append(append([]string{"projections"}, c...), "--server", urlTwo)...)
		if code := p.exit(t); code != cli.ExitOK {
			t.Errorf("%v: exit code %d, want 0", c, code)
		}
	}
	placeAndRead(t, urlTwo, urlTwo, "new")
	rebuildAll(t, "--server", urlTwo)
	rebuildAll(t, "--database", db.DSN)
}

// rebuildAll rebuilds everything; the snapshots, which a server makes, are part of it.
func rebuildAll(t *testing.T, where ...string) {
	t.Helper()
	p := startProcess(t, append([]string{"projections", "rebuild", "--all", "--verify", "-o", "json"}, where...)...)
	if code := p.exit(t); code != cli.ExitOK {
		t.Errorf("%v: exit code %d, want 0", where, code)
	}
	text, _ := p.stdout.read()
	var done struct{ Items []operations.Operation }
	if err := json.Unmarshal([]byte(text), &done); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, op := range done.Items {
		names = append(names, op.Subject)
	}
	want := []string{"orders", "stock_levels", "customer_history", "sales_by_country", "sales_by_sku", "saga_instances", "saga_timers", "snapshots_stock"}
	if !slices.Equal(names, want) {
		t.Errorf("%v: rebuilt are %v, want %v", where, names, want)
	}
}
