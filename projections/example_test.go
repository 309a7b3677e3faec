package projections_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// The events of the examples.
type (
	Deposited struct{ Amount int64 }
	Withdrawn struct{ Amount int64 }
	Closed    struct{}
)

// Balance is a row of the read model: balance, moves and last_at are its columns.
type Balance struct {
	Balance int64
	Moves   int64
	LastAt  time.Time
}

// balances has a row per account, found by key or by balance.
func balances() *projections.Fold[string, Balance] {
	f := projections.NewFold[string, Balance](projections.Table{
		Name:    "balances",
		Version: 1,
		Key:     []string{"account"},
		Indexes: []projections.Index{{Columns: []string{"balance"}}},
	})
	move := func(b *Balance, amount int64, r projections.Recorded) error {
		b.Balance += amount
		b.Moves++
		b.LastAt = r.RecordedAt
		return nil
	}
	projections.Upsert(f, projections.ByID, func(b *Balance, e Deposited, r projections.Recorded) error {
		return move(b, e.Amount, r)
	})
	projections.Update(f, projections.ByID, func(b *Balance, e Withdrawn, r projections.Recorded) error {
		return move(b, -e.Amount, r)
	})
	projections.Delete(f, projections.ByID[Closed])
	return f
}

// exampleLog returns a log with the events of two accounts.
func exampleLog(ctx context.Context) (*memstore.Store, *eventstore.Codec, eventstore.Token) {
	codec, err := eventstore.NewCodec(eventstore.TypeOf[Deposited]("Deposited", 1),
		eventstore.TypeOf[Withdrawn]("Withdrawn", 1), eventstore.TypeOf[Closed]("Closed", 1))
	if err != nil {
		log.Fatal(err)
	}
	store := memstore.New(memstore.Config{})
	var end eventstore.Token
	for _, a := range []struct {
		stream string
		event  any
	}{
		{"account-ada", Deposited{100}}, {"account-bob", Deposited{50}}, {"account-ada", Withdrawn{30}}, {"account-bob", Withdrawn{60}},
	} {
		e, err := codec.Encode(a.event)
		if err != nil {
			log.Fatal(err)
		}
		done, err := store.Append(ctx, eventstore.StreamAppend{Stream: a.stream, Expected: eventstore.Any, Events: []eventstore.Event{e}}, eventstore.AppendOptions{})
		if err != nil {
			log.Fatal(err)
		}
		end = done.Token
	}
	return store, codec, end
}

func Example() {
	// A pool of connections to a database that `recount migrate up` was run on.
	db, done := pgtest.Example("Example")
	defer done()
	ctx := context.Background()
	store, codec, end := exampleLog(ctx)

	runner, err := projections.NewRunner(projections.Config{Pool: db.Pool, Store: store, Codec: codec}, balances())
	if err != nil {
		log.Fatal(err)
	}
	if err := runner.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer runner.Stop(ctx)
	arrive(ctx, runner, "balances", end) // package queries waits by itself

	// The rows are a table like any other; its view has the projection's name.
	rows, err := db.Pool.Query(ctx, `SELECT account, balance, moves, recount_position FROM recount.balances ORDER BY account`)
	if err != nil {
		log.Fatal(err)
	}
	for rows.Next() {
		var account string
		var balance, moves, position int64
		if err := rows.Scan(&account, &balance, &moves, &position); err != nil {
			log.Fatal(err)
		}
		fmt.Println(account, balance, moves, position)
	}
	// Output:
	// ada 70 2 3
	// bob -10 2 4
}

// A SQL projector keeps what no fold can say: here a row that depends on another.
func ExampleNewSQL() {
	db, done := pgtest.Example("ExampleNewSQL")
	defer done()
	ctx := context.Background()
	store, codec, end := exampleLog(ctx)

	ranking := projections.NewSQL(projections.SQLConfig{
		Name:    "ranking",
		Version: 1,
		Types:   []string{"Deposited", "Withdrawn"},
		Create: func(ctx context.Context, tx pgx.Tx, table string) error {
			_, err := tx.Exec(ctx, `CREATE TABLE `+table+` (account text PRIMARY KEY, balance bigint NOT NULL, place bigint)`)
			return err
		},
		Apply: func(ctx context.Context, tx pgx.Tx, table string, events []projections.Decoded) error {
			for _, e := range events {
				amount := int64(0)
				switch v := e.Value.(type) {
				case Deposited:
					amount = v.Amount
				case Withdrawn:
					amount = -v.Amount
				}
				if _, err := tx.Exec(ctx, `
					INSERT INTO `+table+` AS t (account, balance) VALUES ($1, $2)
					ON CONFLICT (account) DO UPDATE SET balance = t.balance + excluded.balance`,
					eventstore.StreamID(e.Event.Stream), amount); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, `
				UPDATE `+table+` t SET place = r.place
				FROM (SELECT account, rank() OVER (ORDER BY balance DESC) AS place FROM `+table+`) r
				WHERE r.account = t.account`)
			return err
		},
	})
	runner, err := projections.NewRunner(projections.Config{Pool: db.Pool, Store: store, Codec: codec}, ranking)
	if err != nil {
		log.Fatal(err)
	}
	if err := runner.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer runner.Stop(ctx)
	arrive(ctx, runner, "ranking", end)

	rows, err := db.Pool.Query(ctx, `SELECT place, account, balance FROM recount.ranking ORDER BY place`)
	if err != nil {
		log.Fatal(err)
	}
	for rows.Next() {
		var place, balance int64
		var account string
		if err := rows.Scan(&place, &account, &balance); err != nil {
			log.Fatal(err)
		}
		fmt.Println(place, account, balance)
	}
	// Output:
	// 1 ada 70
	// 2 bob -10
}

// An operator sees where a projection has stopped, and leaves the event out.
func ExampleAdmin() {
	db, done := pgtest.Example("ExampleAdmin")
	defer done()
	ctx := context.Background()
	store, codec, _ := exampleLog(ctx)

	strict := projections.NewFold[string, Balance](projections.Table{Name: "balances", Version: 1})
	projections.Upsert(strict, projections.ByID, func(b *Balance, e Withdrawn, _ projections.Recorded) error {
		if e.Amount > 50 {
			return fmt.Errorf("%d is more than may be withdrawn at once", e.Amount)
		}
		b.Balance -= e.Amount
		return nil
	})
	runner, err := projections.NewRunner(projections.Config{Pool: db.Pool, Store: store, Codec: codec,
		PollInterval: 10 * time.Millisecond}, strict)
	if err != nil {
		log.Fatal(err)
	}
	if err := runner.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer runner.Stop(ctx)

	admin := projections.NewAdmin(db.Pool, "", store)
	s := waitFor(ctx, admin, operations.Failed)
	fmt.Println(s.State, "at position", s.Failure.Position)
	fmt.Println(s.Failure.Type, "of", s.Failure.Stream+":", s.Failure.Error)
	fmt.Println("reason:", s.Failure.Reason)

	skipped, err := admin.Skip(ctx, "balances", s.Failure.Position, "entered twice, see ticket 7", "ada")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("skipped:", skipped[0].Type, "because:", skipped[0].Reason)
	s = waitFor(ctx, admin, operations.Running)
	fmt.Println(s.State, "after", s.Events, "events")
	// Output:
	// failed at position 4
	// Withdrawn of account-bob: key bob: 60 is more than may be withdrawn at once
	// reason: event-not-applied
	// skipped: Withdrawn because: entered twice, see ticket 7
	// running after 2 events
}

// waitFor asks until the projection is in a state, with nothing left to apply.
func waitFor(ctx context.Context, admin *projections.Admin, state operations.State) projections.Status {
	for {
		all, err := admin.Show(ctx, "balances")
		if err != nil {
			log.Fatal(err)
		}
		if s := all[0]; s.State == state && (s.LagEvents == 0 || s.Failure != nil) {
			return s
		}
	}
}

// arrive waits until a projection has come to a place in the log.
func arrive(ctx context.Context, runner *projections.Runner, projection string, want eventstore.Token) {
	for {
		if at, here := runner.WaitFor(ctx, projection, want); here && at == want {
			return
		}
	}
}
