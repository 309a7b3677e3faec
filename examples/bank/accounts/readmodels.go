package accounts

import (
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
)

// balance is the row of an account, by its id.
type balance struct {
	Owner        string
	Currency     string
	BalanceMinor int64
	UpdatedAt    time.Time
}

// lineKey is the place of a line in the statement of an account: the version of the event in its
// stream.
type lineKey struct {
	Account string
	Version int64
}

// line is a line of a statement. Money that went out is negative.
type line struct {
	Kind        string
	AmountMinor int64
	// Other is the account that the money went to or came from, if there is one.
	Other *string
	At    time.Time
}

// dayKey is a day, in UTC, in a currency.
type dayKey struct {
	Day      time.Time
	Currency string
}

// dayTotal is what moved on a day over the counter.
type dayTotal struct {
	InMinor, OutMinor int64
	Moves             int64
}

// readModels are those of a module. A fold that changes what rows it makes gets another Version:
// its rows are made anew beside the present ones, which are read meanwhile.
type readModels struct {
	balances   *projections.Fold[string, balance]
	statements *projections.Fold[lineKey, line]
	totals     *projections.Fold[dayKey, dayTotal]
}

func newReadModels() readModels {
	m := readModels{
		balances: projections.NewFold[string, balance](projections.Table{Name: "balances", Version: 1, Indexes: []projections.Index{
			{Columns: []string{"owner"}},
		}}),
		statements: projections.NewFold[lineKey, line](projections.Table{Name: "statements", Version: 1}),
		totals:     projections.NewFold[dayKey, dayTotal](projections.Table{Name: "daily_totals", Version: 1}),
	}
	projections.Upsert(m.balances, projections.ByID, func(b *balance, e Opened, _ projections.Recorded) error {
		*b = balance{Owner: e.Owner, Currency: e.Currency, UpdatedAt: e.At}
		return nil
	})
	moves(m, "deposit", 1, func(e Deposited) (Money, string) { return e.Money, "" })
	moves(m, "withdrawal", -1, func(e Withdrawn) (Money, string) { return e.Money, "" })
	moves(m, "sent", -1, func(e Sent) (Money, string) { return e.Money, e.To })
	moves(m, "received", 1, func(e Received) (Money, string) { return e.Money, e.From })
	moves(m, "interest", 1, func(e Settled) (Money, string) { return e.Money, "" })
	counts(m, func(t *dayTotal, e Deposited) { t.InMinor += e.AmountMinor }, func(e Deposited) Money { return e.Money })
	counts(m, func(t *dayTotal, e Withdrawn) { t.OutMinor += e.AmountMinor }, func(e Withdrawn) Money { return e.Money })
	return m
}

// moves says that E moves money into the account, or out of it if sign is -1. Of names the amount
// and the other account.
func moves[E any](m readModels, kind string, sign int64, of func(E) (money Money, other string)) {
	projections.Update(m.balances, projections.ByID, func(b *balance, e E, _ projections.Recorded) error {
		money, _ := of(e)
		b.BalanceMinor, b.UpdatedAt = b.BalanceMinor+sign*money.AmountMinor, money.At
		return nil
	})
	key := func(_ E, r projections.Recorded) lineKey { return lineKey{eventstore.StreamID(r.Stream), r.Version} }
	projections.Upsert(m.statements, key, func(l *line, e E, _ projections.Recorded) error {
		money, other := of(e)
		*l = line{Kind: kind, AmountMinor: sign * money.AmountMinor, At: money.At}
		if other != "" {
			l.Other = &other
		}
		return nil
	})
}

// counts says that E counts for its day.
func counts[E any](m readModels, add func(*dayTotal, E), of func(E) Money) {
	key := func(e E, _ projections.Recorded) dayKey {
		return dayKey{of(e).At.UTC().Truncate(24 * time.Hour), of(e).Currency}
	}
	projections.Upsert(m.totals, key, func(t *dayTotal, e E, _ projections.Recorded) error {
		add(t, e)
		t.Moves++
		return nil
	})
}

// day is a line of the daily totals.
type day struct {
	Day      string `json:"day"`
	Currency string `json:"currency"`
	InMinor  int64  `json:"in_minor"`
	OutMinor int64  `json:"out_minor"`
	Moves    int64  `json:"moves"`
}

// daysSQL has the totals of each day in a currency, or in all.
const daysSQL = `SELECT to_char(day AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, currency, in_minor, out_minor, moves
	FROM {daily_totals} WHERE $1::text IS NULL OR currency = $1`
