package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
)

func Example() {
	// A pool of connections to a database that `recount migrate up` was run on.
	db, done := pgtest.Example("Example")
	defer done()
	ctx := context.Background()

	store, err := pgstore.Open(ctx, pgstore.Config{Pool: db.Pool})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(ctx)

	opened := eventstore.StreamAppend{
		Stream:   "account-7",
		Expected: eventstore.NoStream,
		Events:   []eventstore.Event{{Type: "AccountOpened", Data: []byte(`{"owner":"Ada"}`)}},
	}
	appended, err := store.Append(ctx, opened, eventstore.AppendOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("version", appended.Version, "position", appended.Position)

	_, err = store.Append(ctx, opened, eventstore.AppendOptions{})
	fmt.Println(errors.Is(err, eventstore.ErrConflict), err)

	for event, err := range store.ReadStream(ctx, "account-7", eventstore.ReadOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Version, event.Type, string(event.Data))
	}
	// Output:
	// version 0 position 1
	// true stream "account-7" is at version 0, expected no stream
	// 0 AccountOpened {"owner":"Ada"}
}

// AppendCommit ties events to rows of the caller's own: both are there, or
// neither.
func ExampleStore_AppendCommit() {
	db, done := pgtest.Example("ExampleStore_AppendCommit")
	defer done()
	ctx := context.Background()
	store, err := pgstore.Open(ctx, pgstore.Config{Pool: db.Pool})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(ctx)
	if _, err := db.Pool.Exec(ctx, `CREATE TABLE invoices (number text PRIMARY KEY)`); err != nil {
		log.Fatal(err)
	}

	tx, err := db.Pool.Begin(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO invoices VALUES ('2026-1')`); err != nil {
		log.Fatal(err)
	}
	appended, err := store.AppendCommit(ctx, tx, []eventstore.StreamAppend{{
		Stream: "invoice-2026-1", Expected: eventstore.Any,
		Events: []eventstore.Event{{Type: "InvoiceSent", Data: []byte(`{}`)}},
	}}, eventstore.AppendOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(appended[0].Stream, "at position", appended[0].Position)
	// Output: invoice-2026-1 at position 1
}
