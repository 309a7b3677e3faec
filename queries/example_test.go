package queries_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// Reserved is the event of the example, Reservation the row of its read model.
type (
	Reserved struct {
		Guest  string
		Nights int64
		From   time.Time
	}
	Reservation struct {
		Guest  string
		Nights int64
		From   time.Time
	}
)

func Example() {
	// A pool of connections to a database that `recount migrate up` was run on.
	db, done := pgtest.Example("Example")
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	reservations := projections.NewFold[string, Reservation](projections.Table{Name: "reservations", Version: 1,
		Indexes: []projections.Index{{Columns: []string{"guest", "from"}}}})
	projections.Upsert(reservations, projections.ByID, func(r *Reservation, e Reserved, _ projections.Recorded) error {
		*r = Reservation(e)
		return nil
	})
	codec, err := eventstore.NewCodec(eventstore.TypeOf[Reserved]("Reserved", 1))
	if err != nil {
		log.Fatal(err)
	}
	store := memstore.New(memstore.Config{})
	runner, err := projections.NewRunner(projections.Config{Pool: db.Pool, Store: store, Codec: codec}, reservations)
	if err != nil {
		log.Fatal(err)
	}
	if err := runner.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer runner.Stop(ctx)
	reader, err := queries.NewReader(queries.Config{Pool: db.Pool, Follower: runner})
	if err != nil {
		log.Fatal(err)
	}

	// An append gives a token; whoever reads with it sees the append.
	var token eventstore.Token
	for i, guest := range []string{"ada", "bob", "ada", "ada"} {
		e, err := codec.Encode(Reserved{Guest: guest, Nights: int64(i + 1), From: time.Date(2024, 5, 1+i, 0, 0, 0, 0, time.UTC)})
		if err != nil {
			log.Fatal(err)
		}
		done, err := store.Append(ctx, eventstore.StreamAppend{Stream: fmt.Sprintf("reservation-%d", i+1), Expected: eventstore.Any,
			Events: []eventstore.Event{e}}, eventstore.AppendOptions{})
		if err != nil {
			log.Fatal(err)
		}
		token = done.Token
	}
	row, err := queries.Get(ctx, reader, reservations, "4", token)
	fmt.Println(row.Guest, row.Nights, err)
	_, err = queries.Get(ctx, reader, reservations, "5", token)
	fmt.Println(errors.Is(err, queries.ErrNotFound), err)

	// The newest first, two to a page.
	list := queries.List{Where: map[string]any{"guest": "ada"}, OrderBy: "from", Desc: true, Limit: 2, Token: token}
	for page := 1; ; page++ {
		found, err := queries.Find(ctx, reader, reservations, list)
		if err != nil {
			log.Fatal(err)
		}
		for _, item := range found.Items {
			fmt.Println("page", page, "reservation", item.Key, item.Row.From.Format(time.DateOnly))
		}
		if found.Next == "" {
			break
		}
		list.Cursor = found.Next
	}

	type perGuest struct {
		Guest  string
		Nights int64
	}
	sums, err := queries.SQL[perGuest](ctx, reader, token,
		`SELECT guest, sum(nights) AS nights FROM {reservations} GROUP BY guest ORDER BY guest`)
	fmt.Println(sums, err)
	// Output:
	// ada 4 <nil>
	// true get 5 of reservations: row not found
	// page 1 reservation 4 2024-05-04
	// page 1 reservation 3 2024-05-03
	// page 2 reservation 1 2024-05-01
	// [{ada 8} {bob 2}] <nil>
}
