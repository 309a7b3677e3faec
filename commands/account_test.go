package commands

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// account is the aggregate of these tests.
type account struct {
	Balance int
	Entries []int
}

type accountEvent = Event[account]

type deposited struct{ Amount int }

func (e deposited) Evolve(a account) account { return a.enter(e.Amount) }

type withdrawn struct{ Amount int }

func (e withdrawn) Evolve(a account) account { return a.enter(-e.Amount) }

func (a account) enter(n int) account {
	return account{Balance: a.Balance + n, Entries: append(slices.Clip(a.Entries), n)}
}

// brittle can be written but not read back.
type brittle struct{}

func (brittle) Evolve(a account) account      { return a }
func (*brittle) UnmarshalJSON(_ []byte) error { return errors.New("unreadable") }

// foreign is registered but no event of an account.
type foreign struct{}

type deposit struct{ amount int }

func (c deposit) Decide(account) ([]accountEvent, error) {
	return []accountEvent{deposited{c.amount}}, nil
}

// open is the deposit that an account begins with.
type open struct{ amount int }

func (open) CreatesStream() {}

func (c open) Decide(a account) ([]accountEvent, error) {
	switch {
	case len(a.Entries) > 0:
		return nil, errIsOpen
	case c.amount == 0:
		return nil, errOverdrawn
	}
	return []accountEvent{deposited{c.amount}}, nil
}

var errIsOpen = errors.New("the account is open already")

var errOverdrawn = errors.New("not that much in the account")

type withdraw struct{ amount int }

func (c withdraw) Decide(a account) ([]accountEvent, error) {
	if c.amount > a.Balance {
		return nil, errOverdrawn
	}
	return []accountEvent{withdrawn{c.amount}}, nil
}

// fill brings the balance up to a level, if it is below.
type fill struct{ level int }

func (c fill) Decide(a account) ([]accountEvent, error) {
	if a.Balance >= c.level {
		return nil, nil
	}
	return []accountEvent{deposited{c.level - a.Balance}}, nil
}

type decideFunc func(account) ([]accountEvent, error)

func (f decideFunc) Decide(a account) ([]accountEvent, error) { return f(a) }

func newCodec(t testing.TB) *eventstore.Codec {
	t.Helper()
	codec, err := eventstore.NewCodec(
		eventstore.TypeOf[deposited]("Deposited", 1),
		eventstore.TypeOf[withdrawn]("Withdrawn", 1),
		eventstore.TypeOf[touched]("Touched", 1),
		eventstore.TypeOf[brittle]("Brittle", 1),
		eventstore.TypeOf[foreign]("Foreign", 1))
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

type accounts = Handler[account, accountEvent]

func newAccounts(t testing.TB, store eventstore.Store, c Config) *accounts {
	t.Helper()
	c.Category = "account"
	h, err := NewHandler[account, accountEvent](store, newCodec(t), c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// mustHandle runs a command that has to be accepted.
func mustHandle(t testing.TB, h *accounts, id string, c Command[account, accountEvent], o Options) Result {
	t.Helper()
	result, err := h.Handle(t.Context(), id, c, o)
	if err != nil {
		t.Fatalf("Handle(%q, %#v): %v", id, c, err)
	}
	return result
}

func wantBalance(t testing.TB, h *accounts, id string, balance int, version int64) {
	t.Helper()
	a, v, err := h.Load(t.Context(), id)
	if err != nil {
		t.Fatalf("Load(%q): %v", id, err)
	}
	if a.Balance != balance || v != version {
		t.Errorf("Load(%q) = balance %d at version %d, want %d at %d", id, a.Balance, v, balance, version)
	}
}

func wantError(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error = %v, want one that is %q", err, target)
	}
}

// faulty is a store that counts what is asked of it and fails on demand. The
// hooks are set before it is used.
type faulty struct {
	*memstore.Store
	// before runs ahead of an append, which it can prevent with an error.
	before func(eventstore.StreamAppend) error
	// after sees the append's outcome and may replace its error.
	after func(eventstore.StreamAppend, error) error
	// reading runs ahead of a read of a stream.
	reading func(stream string, from int64)
	// lookup runs ahead of a look-up of a receipt, which it can prevent.
	lookup func() error
}

func newFaulty() *faulty { return &faulty{Store: memstore.New(memstore.Config{})} }

func (s *faulty) Append(ctx context.Context, a eventstore.StreamAppend, o eventstore.AppendOptions) (eventstore.Appended, error) {
	if s.before != nil {
		if err := s.before(a); err != nil {
			return eventstore.Appended{}, err
		}
	}
	appended, err := s.Store.Append(ctx, a, o)
	if s.after != nil {
		err = s.after(a, err)
	}
	return appended, err
}

func (s *faulty) AppendStreams(ctx context.Context, appends []eventstore.StreamAppend, o eventstore.AppendOptions) ([]eventstore.Appended, error) {
	if s.before != nil {
		if err := s.before(appends[0]); err != nil {
			return nil, err
		}
	}
	appended, err := s.Store.AppendStreams(ctx, appends, o)
	if s.after != nil {
		err = s.after(appends[0], err)
	}
	return appended, err
}

func (s *faulty) ReadStream(ctx context.Context, stream string, o eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	if s.reading != nil {
		s.reading(stream, o.From)
	}
	return s.Store.ReadStream(ctx, stream, o)
}

func (s *faulty) Receipt(ctx context.Context, scope, key string) (eventstore.StoredReceipt, error) {
	if s.lookup != nil {
		if err := s.lookup(); err != nil {
			return eventstore.StoredReceipt{}, err
		}
	}
	return s.Store.Receipt(ctx, scope, key)
}

// once returns a hook that runs f the first time only.
func once(f func()) func(eventstore.StreamAppend) error {
	done := false
	return func(eventstore.StreamAppend) error {
		if !done {
			done = true
			f()
		}
		return nil
	}
}
