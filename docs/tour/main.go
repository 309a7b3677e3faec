// Tour is the program of the README: an aggregate, a command, a read model and
// a query, on a database of its own. Run it with the address of an empty one:
//
//	go run ./docs/tour postgres://…
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// Account is the state of one account: what its events make of it.
type Account struct{ Balance int64 }

// Event is an event of an account.
type Event interface{ Evolve(Account) Account }

// Deposited says that money came in.
type Deposited struct {
	Cents int64 `json:"cents"`
}

// Evolve is what a deposit does to an account.
func (e Deposited) Evolve(a Account) Account { a.Balance += e.Cents; return a }

// Withdrawn says that money went out.
type Withdrawn struct {
	Cents int64 `json:"cents"`
}

// Evolve is what a withdrawal does to an account.
func (e Withdrawn) Evolve(a Account) Account { a.Balance -= e.Cents; return a }

// Deposit asks for a deposit.
type Deposit struct{ Cents int64 }

// Decide accepts every deposit.
func (c Deposit) Decide(Account) ([]Event, error) { return []Event{Deposited(c)}, nil }

// Withdraw asks for a withdrawal.
type Withdraw struct{ Cents int64 }

var errTooLittle = errors.New("there is too little in the account")

// Decide accepts a withdrawal that the account can cover.
func (c Withdraw) Decide(a Account) ([]Event, error) {
	if c.Cents > a.Balance {
		return nil, errTooLittle
	}
	return []Event{Withdrawn(c)}, nil
}

// Balance is a row of the read model; its key is the account.
type Balance struct{ Cents, Moves int64 }

func balances() *projections.Fold[string, Balance] {
	fold := projections.NewFold[string, Balance](projections.Table{Name: "balances", Version: 1})
	projections.Upsert(fold, projections.ByID, func(b *Balance, e Deposited, _ projections.Recorded) error {
		b.Cents, b.Moves = b.Cents+e.Cents, b.Moves+1
		return nil
	})
	projections.Upsert(fold, projections.ByID, func(b *Balance, e Withdrawn, _ projections.Recorded) error {
		b.Cents, b.Moves = b.Cents-e.Cents, b.Moves+1
		return nil
	})
	return fold
}

func run(ctx context.Context, dsn string) error {
	if _, err := migrations.Up(ctx, dsn, migrations.DefaultSchema); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return err
	}
	defer pool.Close()
	store, err := pgstore.Open(ctx, pgstore.Config{Pool: pool})
	if err != nil {
		return err
	}
	defer store.Close(ctx) // writes what waits
	codec, err := eventstore.NewCodec(
		eventstore.TypeOf[Deposited]("Deposited", 1), eventstore.TypeOf[Withdrawn]("Withdrawn", 1))
	if err != nil {
		return err
	}

	accounts, err := commands.NewHandler[Account, Event](store, codec, commands.Config{Category: "account"})
	if err != nil {
		return err
	}
	fold := balances()
	runner, err := projections.NewRunner(projections.Config{Pool: pool, Store: store, Codec: codec}, fold)
	if err != nil {
		return err
	}
	if err := runner.Start(ctx); err != nil {
		return err
	}
	defer runner.Stop(ctx)
	reader, err := queries.NewReader(queries.Config{Pool: pool, Log: store, Follower: runner})
	if err != nil {
		return err
	}

	if _, err := accounts.Handle(ctx, "ada", Deposit{Cents: 500}, commands.Options{}); err != nil {
		return err
	}
	done, err := accounts.Handle(ctx, "ada", Withdraw{Cents: 120}, commands.Options{})
	if err != nil {
		return err
	}
	_, err = accounts.Handle(ctx, "ada", Withdraw{Cents: 10_000}, commands.Options{})
	fmt.Println(errors.Is(err, errTooLittle), err)

	// The token makes the read wait until the read model has the withdrawal.
	row, err := queries.Get(ctx, reader, fold, "ada", done.Token)
	if err != nil {
		return err
	}
	fmt.Println("ada has", row.Cents, "cents after", row.Moves, "moves")
	return nil
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: tour postgres://…")
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}
