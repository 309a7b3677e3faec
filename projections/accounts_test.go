package projections

import (
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// The events of the tests: a small bank.
type (
	opened struct {
		Owner *string
		At    time.Time
	}
	deposited struct {
		Amount int64
		Note   string
	}
	transferred struct {
		To     []string
		Amount int64
	}
	closed struct{}
)

func newCodec(t testing.TB) *eventstore.Codec {
	t.Helper()
	codec, err := eventstore.NewCodec(
		eventstore.TypeOf[opened]("Opened", 1),
		eventstore.TypeOf[deposited]("Deposited", 1),
		eventstore.TypeOf[transferred]("Transferred", 1),
		eventstore.TypeOf[closed]("Closed", 1))
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

// account is a row with a column of every kind that changes on the way if nobody takes care.
type account struct {
	Owner    *string
	Balance  int64
	OpenedAt time.Time
	Notes    []string
	Touched  int32
}

var (
	errTooMuch = errors.New("too much")
	errPanic   = "a fold that panics"
)

// newAccounts returns a fold with a row per stream, and one for each account that a transfer names.
func newAccounts(version int) *Fold[string, account] {
	f := NewFold[string, account](Table{Name: "accounts", Version: version,
		Indexes: []Index{{Columns: []string{"owner", "opened_at"}}, {Columns: []string{"balance"}}}})
	Upsert(f, ByID, func(a *account, e opened, _ Recorded) error {
		a.Owner, a.OpenedAt = e.Owner, e.At
		return nil
	})
	Upsert(f, ByID, func(a *account, e deposited, r Recorded) error {
		switch e.Note {
		case "refuse":
			return errTooMuch
		case "panic":
			panic(errPanic)
		}
		a.Balance += e.Amount
		a.Notes = append(a.Notes, e.Note)
		a.Touched++
		return nil
	})
	UpsertEach(f, func(e transferred, _ Recorded) iter.Seq2[string, int64] {
		return func(yield func(string, int64) bool) {
			for _, to := range e.To {
				if !yield(to, e.Amount) {
					return
				}
			}
		}
	}, func(a *account, amount int64, _ Recorded) error {
		a.Balance += amount
		return nil
	})
	Update(f, ByID, func(a *account, e transferred, _ Recorded) error {
		a.Balance -= e.Amount * int64(len(e.To))
		return nil
	})
	Delete(f, ByID[closed])
	return f
}

// totals is a row of a fold of deposits only.
type totals struct {
	Balance int64
	Note    string
	At      time.Time
}

func newTotals(name string) *Fold[string, totals] {
	f := NewFold[string, totals](Table{Name: name, Version: 1})
	Upsert(f, ByID, func(a *totals, e deposited, r Recorded) error {
		a.Balance += e.Amount
		a.Note, a.At = e.Note, r.RecordedAt
		return nil
	})
	return f
}
