package trials

import (
	"context"
	"errors"
	"sync"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
)

// The accounts of the trials.
type (
	account   struct{ Balance int64 }
	deposited struct {
		Amount int64 `json:"amount"`
	}
	deposit  struct{ amount int64 }
	withdraw struct{ amount int64 }
)

// What they have become in a later program: they count.
type (
	grown   struct{ Balance, Deposits int64 }
	counted deposited
)

func (e counted) Evolve(g grown) grown { return grown{g.Balance + e.Amount, g.Deposits + 1} }

var errOverdrawn = errors.New("there is not that much in the account")

func (e deposited) Evolve(a account) account { return account{a.Balance + e.Amount} }

func (c deposit) Decide(account) ([]deposited, error) { return []deposited{{c.amount}}, nil }

func (c withdraw) Decide(a account) ([]deposited, error) {
	if c.amount > a.Balance {
		return nil, errOverdrawn
	}
	return []deposited{{-c.amount}}, nil
}

func accountCodec() *eventstore.Codec {
	codec, err := eventstore.NewCodec(eventstore.TypeOf[deposited]("Deposited", 1))
	if err != nil {
		panic(err)
	}
	return codec
}

// accounts returns the handler of another process.
func (w *world) accounts(s commands.SnapshotConfig) *commands.Handler[account, deposited] {
	w.Helper()
	h, err := commands.NewHandler[account, deposited](w.open(), accountCodec(), commands.Config{Category: "account", Snapshots: s})
	w.must(err)
	return h
}

func (w *world) handle(h *commands.Handler[account, deposited], c commands.Command[account, deposited]) {
	w.Helper()
	_, err := h.Handle(w.Context(), "1", c, commands.Options{})
	w.must(err)
}

// overdrawn takes money that another process has taken before.
func overdrawn(w *world) {
	here, elsewhere := w.accounts(commands.SnapshotConfig{}), w.accounts(commands.SnapshotConfig{})
	w.handle(here, deposit{10})
	w.handle(elsewhere, withdraw{10})
	_, err := here.Handle(w.Context(), "1", withdraw{10}, commands.Options{})
	w.want(errors.Is(err, errOverdrawn), "the same money was taken twice: %v", err)
}

// refusedTooSoon takes money that another process has put there.
func refusedTooSoon(w *world) {
	here, elsewhere := w.accounts(commands.SnapshotConfig{}), w.accounts(commands.SnapshotConfig{})
	w.handle(here, deposit{1})
	w.handle(elsewhere, deposit{10})
	_, err := here.Handle(w.Context(), "1", withdraw{10}, commands.Options{})
	w.want(err == nil, "money that is there cannot be taken: %v", err)
}

// units returns what runs units of another process, and its accounts.
func (w *world) units() (*commands.Units, *commands.Handler[account, deposited]) {
	w.Helper()
	store := w.open()
	h, err := commands.NewHandler[account, deposited](store, accountCodec(), commands.Config{Category: "account"})
	w.must(err)
	u, err := commands.NewUnits(store, commands.UnitConfig{Retries: -1})
	w.must(err)
	return u, h
}

// transferredBothWays moves money between two accounts in both directions at once.
func transferredBothWays(w *world) {
	units, accounts := w.units()
	ctx, cancel := context.WithTimeout(w.Context(), timeout/4) // it takes a second
	defer cancel()
	var workers sync.WaitGroup
	for worker := range 8 {
		from, to := "1", "2"
		if worker%2 == 1 {
			from, to = to, from
		}
		workers.Go(func() {
			for range 20 {
				_, err := units.Handle(ctx, "transfer", func(tx *commands.Unit) error {
					accounts.Put(tx, from, deposited{-1})
					accounts.Put(tx, to, deposited{1})
					return nil
				}, commands.Options{})
				if err != nil {
					w.want(false, "a transfer from account %s to %s: %v", from, to, err)
					return
				}
			}
		})
	}
	workers.Wait()
}

// limitLowered takes money that the present limit forbids: another process has lowered it since the
// unit read it.
func limitLowered(w *world) {
	units, accounts := w.units()
	elsewhere := w.accounts(commands.SnapshotConfig{})
	w.handle(elsewhere, deposit{10})
	decided := 0
	_, err := units.Handle(w.Context(), "withdraw", func(tx *commands.Unit) error {
		limit, _ := accounts.Get(tx, "1")
		if decided++; decided == 1 {
			w.handle(elsewhere, withdraw{10})
		}
		if limit.Balance < 10 {
			return errOverdrawn
		}
		accounts.Put(tx, "2", deposited{-10})
		return nil
	}, commands.Options{})
	w.want(errors.Is(err, eventstore.ErrConflict), "money was taken against the limit: %v", err) // without retries
}

// drawer keeps one snapshot.
type drawer struct{ kept commands.Snapshot }

func (d *drawer) Snapshot(context.Context, string, int, string) (commands.Snapshot, bool, error) {
	return d.kept, d.kept.State != nil, nil
}

// snapshotTaken makes some events, and a snapshot of them.
func (w *world) snapshotTaken() *drawer {
	w.Helper()
	d := new(drawer)
	h := w.accounts(commands.SnapshotConfig{Store: d})
	for range 3 {
		w.handle(h, deposit{10})
	}
	var err error
	d.kept, _, err = h.SnapshotSource().Snapshot(w.Context(), "account-1")
	w.must(err)
	return d
}

// snapshotBeforeDelete loads a stream that was deleted and begun anew after its snapshot.
func snapshotBeforeDelete(w *world) {
	d := w.snapshotTaken()
	_, err := w.open().DeleteStream(w.Context(), "account-1", eventstore.Any)
	w.must(err)
	w.handle(w.accounts(commands.SnapshotConfig{}), deposit{1})
	w.wantBalance(w.accounts(commands.SnapshotConfig{Store: d}), 1)
}

// snapshotOfOtherKind loads a stream whose snapshot has a state of before a change of the program,
// which it does not fit.
func snapshotOfOtherKind(w *world) {
	d := w.snapshotTaken()
	codec, err := eventstore.NewCodec(eventstore.TypeOf[counted]("Deposited", 1))
	w.must(err)
	h, err := commands.NewHandler[grown, counted](w.open(), codec, commands.Config{
		Category: "account", Snapshots: commands.SnapshotConfig{Store: d, SchemaVersion: 2}})
	w.must(err)
	state, version, err := h.Load(w.Context(), "1")
	w.must(err)
	w.want(state.Balance == 30 && state.Deposits == 3, "the state at version %d is %+v, want 30 in 3 deposits", version, state)
}

func (w *world) wantBalance(h *commands.Handler[account, deposited], want int64) {
	w.Helper()
	state, version, err := h.Load(w.Context(), "1")
	w.must(err)
	w.want(state.Balance == want, "the balance at version %d is %d, want %d", version, state.Balance, want)
}
