package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// bank is what a process has: accounts, and units over them.
type bank struct {
	*accounts
	units *Units
}

func newBank(t testing.TB, store eventstore.Store, c UnitConfig) bank {
	t.Helper()
	units, err := NewUnits(store, c)
	if err != nil {
		t.Fatal(err)
	}
	return bank{newAccounts(t, store, Config{}), units}
}

// transfer moves money between two accounts, of which the first must have it.
func (b bank) transfer(from, to string, amount int) func(*Unit) error {
	return func(tx *Unit) error {
		if a, _ := b.Get(tx, from); a.Balance < amount {
			return errOverdrawn
		}
		b.Put(tx, from, withdrawn{amount})
		b.Put(tx, to, deposited{amount})
		return nil
	}
}

func (b bank) run(ctx context.Context, decide func(*Unit) error, o Options) (Result, error) {
	return b.units.Handle(ctx, "transfer", decide, o)
}

func (b bank) mustRun(t testing.TB, decide func(*Unit) error, o Options) Result {
	t.Helper()
	result, err := b.run(t.Context(), decide, o)
	if err != nil {
		t.Fatalf("Handle: %v", err)
	}
	return result
}

func TestTransfersBothWaysNeverConflictInsideAProcess(t *testing.T) {
	t.Parallel()
	t.Run("memstore", func(t *testing.T) {
		t.Parallel()
		transferBothWays(t, newBank(t, memstore.New(memstore.Config{}), UnitConfig{Retries: -1}))
	})
	t.Run("pgstore", func(t *testing.T) {
		t.Parallel()
		transferBothWays(t, newBank(t, newPG(t)(), UnitConfig{Retries: -1}))
	})
}

// The processes lose the outcome of some appends, as by a crash.
func TestTransfersOfTwoProcesses(t *testing.T) {
	t.Parallel()
	c := UnitConfig{Retries: 1000}
	t.Run("memstore", func(t *testing.T) {
		t.Parallel()
		store := memstore.New(memstore.Config{})
		transferBothWays(t, newBank(t, &crashing{wholeStore: store}, c), newBank(t, &crashing{wholeStore: store}, c))
	})
	t.Run("pgstore", func(t *testing.T) {
		t.Parallel()
		open := newPG(t)
		transferBothWays(t, newBank(t, &crashing{wholeStore: open()}, c), newBank(t, &crashing{wholeStore: open()}, c))
	})
}

type wholeStore interface {
	eventstore.Store
	eventstore.MultiStreamAppender
	eventstore.ReceiptStore
	eventstore.StreamManager
}

// crashing loses the outcome of every fourth append, before or behind it.
type crashing struct {
	wholeStore
	appends atomic.Int64
}

func (s *crashing) AppendStreams(ctx context.Context, appends []eventstore.StreamAppend, o eventstore.AppendOptions) ([]eventstore.Appended, error) {
	n := s.appends.Add(1)
	if n%8 == 0 {
		return nil, eventstore.ErrOutcomeUnknown
	}
	done, err := s.wholeStore.AppendStreams(ctx, appends, o)
	if n%8 == 4 {
		return nil, eventstore.ErrOutcomeUnknown
	}
	return done, err
}

// newPG returns what opens a log of PostgreSQL, as each process does.
func newPG(t *testing.T) func() wholeStore {
	t.Helper()
	db := logtest.New(t)
	return func() wholeStore {
		store, err := pgstore.Open(t.Context(), pgstore.Config{Pool: db.Pool})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := store.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return store
	}
}

// transferBothWays lets eight workers move money between two accounts, each transfer twice, under
// one key, and by two processes if there are two. Each comes to pass once.
func transferBothWays(t *testing.T, banks ...bank) {
	const each = 30
	mustHandle(t, banks[0].accounts, "a", deposit{1000}, Options{})
	mustHandle(t, banks[0].accounts, "b", deposit{1000}, Options{})
	inParallel(8, func(worker int) {
		ids := []string{"a", "b"}
		if worker%2 == 1 {
			slices.Reverse(ids)
		}
		for n := range 2 * each {
			b := banks[n%len(banks)]
			amount := worker/2 + 1 // as much goes as comes back
			err := eventstore.ErrOutcomeUnknown
			var result Result
			for errors.Is(err, eventstore.ErrOutcomeUnknown) {
				result, err = b.run(t.Context(), b.transfer(ids[0], ids[1], amount), Options{Receipt: receipt(fmt.Sprint(worker, "/", n/2))})
			}
			if err != nil || n%2 == 1 && !result.Replayed {
				t.Errorf("transfer %d of worker %d = %+v, %v, want every second one replayed", n, worker, result, err)
			}
		}
	})
	for _, b := range banks {
		wantBalance(t, b.accounts, "a", 1000, 8*each)
		wantBalance(t, b.accounts, "b", 1000, 8*each)
		wantIdle(t, b.queue)
	}
}

// Two units that want the same streams in opposite order would wait for each other for ever.
func TestUnitsWaitForTheirTurnsInOneOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, memstore.New(memstore.Config{}), UnitConfig{})
		mustHandle(t, b.accounts, "a", deposit{10}, Options{})
		mustHandle(t, b.accounts, "b", deposit{10}, Options{})
		mustEnter(t, b.queue, "account-a")
		mustEnter(t, b.queue, "account-b")
		done := make(chan error)
		for _, ids := range []string{"ab", "ba"} {
			go func() {
				_, err := b.run(t.Context(), b.transfer(ids[:1], ids[1:], 1), Options{})
				done <- err
			}()
			synctest.Wait()
		}
		b.queue.leave("account-a")
		b.queue.leave("account-b")
		wantError(t, <-done, nil)
		wantError(t, <-done, nil)
		wantIdle(t, b.queue)
	})
}

func TestUnitGivesItsTurnsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, memstore.New(memstore.Config{}), UnitConfig{})
		mustHandle(t, b.accounts, "a", deposit{10}, Options{})
		mustEnter(t, b.queue, "account-b")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := b.run(ctx, b.transfer("a", "b", 1), Options{})
			done <- err
		}()
		synctest.Wait()
		cancel()
		wantError(t, <-done, context.Canceled)
		mustEnter(t, b.queue, "account-a")
		b.queue.leave("account-a")
		b.queue.leave("account-b")
		wantIdle(t, b.queue)
	})
}

func TestUnitIsWrittenWhole(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	b, other := newBank(t, store, UnitConfig{}), newBank(t, store.Store, UnitConfig{})
	mustHandle(t, b.accounts, "a", deposit{10}, Options{})
	var decided []int
	decide := func(tx *Unit) error {
		a, version := b.Get(tx, "a")
		_, none := b.Get(tx, "b")
		if none != -1 {
			t.Errorf("version of a stream that does not exist = %d", none)
		}
		decided = append(decided, a.Balance)
		b.Put(tx, "a", withdrawn{1}, withdrawn{1})
		if after, v := b.Get(tx, "a"); after.Balance != a.Balance-2 || v != version+2 {
			t.Errorf("what was put left balance %d at version %d", after.Balance, v)
		}
		b.Put(tx, "b", deposited{2})
		return nil
	}
	store.before = once(func() { mustHandle(t, other.accounts, "a", deposit{5}, Options{}) })
	got := b.mustRun(t, decide, Options{CorrelationID: "c", Actor: "ada"})

	if fmt.Sprint(decided) != "[10 15]" {
		t.Errorf("decided from balances %v, want once, for nobody had the turns, and again behind what another wrote", decided)
	}
	if got.Stream != "account-a" || got.Version != 3 || got.Position != 5 || got.Token.Position != 5 ||
		len(got.Streams) != 2 || got.Streams[1].Stream != "account-b" || got.Streams[1].Version != 0 {
		t.Errorf("Result = %+v", got)
	}
	wantBalance(t, other.accounts, "a", 13, 3)
	wantBalance(t, other.accounts, "b", 2, 0)
	for _, m := range metadataOf(t, store)[2:] {
		if m.CorrelationID != "c" || m.Actor != "ada" {
			t.Errorf("metadata = %+v, want that of the unit", m)
		}
	}
	// What is cached is what was written.
	reads := 0
	store.reading = func(string, int64) { reads++ }
	b.mustRun(t, b.transfer("a", "b", 13), Options{})
	if reads != 0 {
		t.Errorf("%d reads of streams that were just written, want none", reads)
	}
}

func TestUnitTakesAStreamForNew(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	mustHandle(t, newBank(t, store.Store, UnitConfig{}).accounts, "open", deposit{10}, Options{})
	b := newBank(t, store, UnitConfig{})
	reads := 0
	store.reading = func(string, int64) { reads++ }
	// opens opens an account, and writes down elsewhere that it is open already.
	opens := func(id string) func(*Unit) error {
		return func(tx *Unit) error {
			err := tx.Try(func() error {
				a, _ := b.GetNew(tx, id)
				events, err := open{1}.Decide(a)
				b.Put(tx, id, events...)
				return err
			})
			if err != nil {
				b.Put(tx, "refused", deposited{1})
			}
			return nil
		}
	}
	b.mustRun(t, opens("new"), Options{})
	if reads != 0 {
		t.Errorf("%d reads of a stream that is new, want none", reads)
	}
	b.mustRun(t, opens("open"), Options{})
	wantBalance(t, b.accounts, "new", 1, 0)
	wantBalance(t, b.accounts, "open", 10, 0)
	wantBalance(t, b.accounts, "refused", 1, 0)
	// A refusal rests on a look, too.
	b.cache.remove("account-open")
	_, err := b.run(t.Context(), func(tx *Unit) error {
		if a, _ := b.GetNew(tx, "open"); a.Balance == 0 {
			return errOverdrawn
		}
		return nil
	}, Options{})
	wantError(t, err, nil)
	wantIdle(t, b.queue)
}

// A unit rests on what it only reads, unless it peeks.
func TestWhatAUnitReadIsChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		read func(*accounts, *Unit, string) (account, int64)
		want error
	}{{"get", (*accounts).Get, errOverdrawn}, {"peek", (*accounts).Peek, nil}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store := newFaulty()
			b, other := newBank(t, store, UnitConfig{}), newBank(t, store.Store, UnitConfig{})
			mustHandle(t, b.accounts, "limit", deposit{10}, Options{})
			store.before = once(func() { mustHandle(t, other.accounts, "limit", withdraw{1}, Options{}) })
			_, err := b.run(t.Context(), func(tx *Unit) error {
				if limit, _ := c.read(b.accounts, tx, "limit"); limit.Balance < 10 {
					return errOverdrawn
				}
				b.Put(tx, "a", withdrawn{10})
				return nil
			}, Options{})
			wantError(t, err, c.want)
		})
	}
}

// A refusal, and a decision to do nothing, come of states that were there together, though no
// append checks them.
func TestUnitThatWritesNothingIsDecidedFromTheLatestStates(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	b, other := newBank(t, store, UnitConfig{}), newBank(t, store.Store, UnitConfig{})
	mustHandle(t, b.accounts, "a", deposit{10}, Options{})
	mustHandle(t, b.accounts, "b", deposit{10}, Options{})
	// There are 20 at any time. In what is cached, and in what is read while they move, there are
	// not.
	move := func() { other.mustRun(t, other.transfer("a", "b", 5), Options{}) }
	move()
	reads := 0
	store.reading = func(string, int64) {
		if reads++; reads == 2 {
			move()
		}
	}
	got := b.mustRun(t, func(tx *Unit) error {
		one, _ := b.Get(tx, "a")
		two, _ := b.Get(tx, "b")
		if one.Balance+two.Balance != 20 {
			return errOverdrawn
		}
		return nil
	}, Options{})
	if got.Position != 0 || got.Token.Position != 6 || len(got.Streams) != 2 || got.Streams[0].Version != 2 {
		t.Errorf("Result = %+v, want two streams at version 2 and the head of the log", got)
	}
}

func TestUnitFindsItsStreamsWhileItDecides(t *testing.T) {
	t.Parallel()
	b := newBank(t, memstore.New(memstore.Config{}), UnitConfig{Retries: -1})
	mustHandle(t, b.accounts, "c", deposit{3}, Options{})
	mustHandle(t, b.accounts, "3", deposit{1}, Options{})
	got := b.mustRun(t, func(tx *Unit) error {
		id := "c"
		for range 3 { // c says 3, 3 says 1, 1 says nothing
			a, _ := b.Get(tx, id)
			id = fmt.Sprint(a.Balance)
		}
		b.Put(tx, id, deposited{7})
		return nil
	}, Options{})
	if len(got.Streams) != 4 || got.Streams[3].Stream != "account-0" || got.Streams[3].Version != 0 {
		t.Errorf("Streams = %+v", got.Streams)
	}
	wantIdle(t, b.queue)
}

func TestReplayOfAUnit(t *testing.T) {
	t.Parallel()
	nothing := func(*Unit) error { return nil }
	for _, c := range []struct {
		name    string
		decide  func(bank) func(*Unit) error
		stream  string
		refused bool
	}{
		{"accepted", func(b bank) func(*Unit) error { return b.transfer("a", "b", 5) }, "account-a", false},
		{"refused", func(b bank) func(*Unit) error { return b.transfer("b", "a", 5) }, "account-b", true},
		{"of no stream", func(bank) func(*Unit) error { return nothing }, "transfer", false},
		{"of no stream, refused", func(bank) func(*Unit) error { return func(*Unit) error { return errOverdrawn } }, "transfer", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store := newFaulty()
			b := newBank(t, store, UnitConfig{})
			mustHandle(t, b.accounts, "a", deposit{10}, Options{})
			o := Options{Receipt: receipt("k")}
			// The process crashes when the unit is written.
			store.after = func(eventstore.StreamAppend, error) error { return eventstore.ErrOutcomeUnknown }
			_, err := b.run(t.Context(), c.decide(b), o)
			wantError(t, err, eventstore.ErrOutcomeUnknown)
			store.after = nil
			if n := len(metadataOf(t, store)); (n == 3) != (c.name == "accepted") {
				t.Errorf("%d events are written", n)
			}
			mustHandle(t, b.accounts, "b", deposit{100}, Options{})

			next := newBank(t, store, UnitConfig{})
			for range 2 {
				got, err := next.run(t.Context(), c.decide(next), o)
				if c.refused {
					wantError(t, err, ErrRefusedBefore)
					got = Result{Stream: rejection(t, err).Stream, Answer: rejection(t, err).Answer, Replayed: rejection(t, err).Replayed}
				} else if err != nil {
					t.Fatal(err)
				}
				if !got.Replayed || got.Stream != c.stream || got.Answer.Code != 7 {
					t.Errorf("replay = %+v of stream %q, want one of %q", got, got.Stream, c.stream)
				}
			}
		})
	}
}

func TestConflictOfAUnitIsReturnedWhenRetriesAreUsedUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ retries, appends int }{{0, 11}, {2, 3}, {-1, 1}} {
		store := newFaulty()
		b, other := newBank(t, store, UnitConfig{Retries: c.retries}), newBank(t, store.Store, UnitConfig{})
		mustHandle(t, b.accounts, "a", deposit{10}, Options{})
		appends := 0
		store.before = func(eventstore.StreamAppend) error {
			appends++
			mustHandle(t, other.accounts, "b", deposit{1}, Options{})
			return nil
		}
		_, err := b.run(t.Context(), b.transfer("a", "b", 1), Options{})
		var conflict *eventstore.ConflictError
		if !errors.As(err, &conflict) || conflict.Stream != "account-b" || appends != c.appends {
			t.Errorf("Retries %d: %v after %d appends, want a conflict on account-b after %d", c.retries, err, appends, c.appends)
		}
	}
}

func TestUnitsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	b, elsewhere := newBank(t, store, UnitConfig{}), newBank(t, memstore.New(memstore.Config{}), UnitConfig{})
	if _, err := NewUnits(plain{store}, UnitConfig{}); !errors.Is(err, eventstore.ErrNotSupported) {
		t.Errorf("NewUnits on a store that cannot: %v", err)
	}
	for _, c := range []struct {
		name   string
		decide func(*Unit)
		o      Options
		want   string
	}{
		{"transfer", func(tx *Unit) { b.Get(tx, "") }, Options{}, "id must not be empty"},
		{"transfer", func(tx *Unit) { b.Peek(tx, "") }, Options{}, "id must not be empty"},
		{"transfer", func(tx *Unit) { b.Put(tx, "a", brittle{}); b.Put(tx, "b", deposited{1}) }, Options{}, "unreadable"},
		{"transfer", func(tx *Unit) { elsewhere.Get(tx, "a") }, Options{}, "has another store"},
		{"transfer", func(tx *Unit) { b.Get(tx, "a"); newAccounts(t, store, Config{}).Get(tx, "a") }, Options{}, "two handlers"},
		{"transfer", func(*Unit) {}, Options{Expected: eventstore.Exact(1)}, "must be left out"},
		{"trans\nfer", func(*Unit) {}, Options{}, "name of a unit"},
	} {
		_, err := b.units.Handle(t.Context(), c.name, func(tx *Unit) error {
			c.decide(tx)
			if a, version := b.Get(tx, "a"); a.Balance != 0 || version != -1 {
				t.Errorf("after an error there is %+v at %d", a, version)
			}
			return errOverdrawn // the error of before counts
		}, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrRejected) {
			t.Errorf("error = %v, want one with %q", err, c.want)
		}
	}
	if head, err := store.Head(t.Context()); err != nil || head.Position != 0 {
		t.Errorf("Head = %+v, %v, want nothing written", head, err)
	}
	wantIdle(t, b.queue)
}

func TestUnitsAreObserved(t *testing.T) {
	t.Parallel()
	var seen []string
	b := newBank(t, memstore.New(memstore.Config{}), UnitConfig{Observe: func(o Observation) {
		seen = append(seen, fmt.Sprint(o.Category, " ", o.Outcome, " ", o.Retries))
	}})
	mustHandle(t, b.accounts, "a", deposit{10}, Options{})
	b.mustRun(t, b.transfer("a", "b", 5), Options{Receipt: receipt("k")})
	b.mustRun(t, b.transfer("a", "b", 5), Options{Receipt: receipt("k")})
	b.mustRun(t, b.transfer("a", "b", 5), Options{DryRun: true})
	_, err := b.run(t.Context(), b.transfer("a", "b", 99), Options{})
	wantError(t, err, errOverdrawn)
	if want := []string{"transfer accepted 0", "transfer replayed 0", "transfer rejected 0"}; !slices.Equal(seen, want) {
		t.Errorf("observed %q, want %q", seen, want)
	}
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	b, other := newBank(t, store, UnitConfig{}), newBank(t, store, UnitConfig{})
	mustHandle(t, b.accounts, "a", deposit{10}, Options{})
	mustHandle(t, other.accounts, "a", withdraw{4}, Options{}) // what is cached is out of date
	o := Options{DryRun: true, Receipt: receipt("k"), Actor: "ada", CorrelationID: "c"}
	planned := func(r Result) (text []string) {
		if r.Position != 0 || r.Replayed {
			t.Errorf("Result = %+v", r)
		}
		for _, a := range r.Planned {
			text = append(text, fmt.Sprint(a.Stream, " at ", a.Expected))
			for _, e := range a.Events {
				text = append(text, fmt.Sprintf("%s v%d %s %s", e.Type, e.SchemaVersion, e.Data, e.Metadata))
			}
		}
		return text
	}
	const metadata = ` {"correlation_id":"c","actor":"ada"}`
	for range 2 {
		got := planned(mustHandle(t, b.accounts, "a", withdraw{6}, o))
		if want := []string{"account-a at version 1", `Withdrawn v1 {"Amount":6}` + metadata}; !slices.Equal(got, want) {
			t.Errorf("planned %q, want %q", got, want)
		}
		got = planned(mustHandle(t, b.accounts, "new", open{6}, o))
		if want := []string{"account-new at no stream", `Deposited v1 {"Amount":6}` + metadata}; !slices.Equal(got, want) {
			t.Errorf("planned %q, want %q", got, want)
		}
		got = planned(b.mustRun(t, b.transfer("a", "b", 6), o))
		if want := []string{"account-a at version 1", `Withdrawn v1 {"Amount":6}` + metadata,
			"account-b at no stream", `Deposited v1 {"Amount":6}` + metadata}; !slices.Equal(got, want) {
			t.Errorf("planned %q, want %q", got, want)
		}
		_, err := b.Handle(t.Context(), "a", withdraw{7}, o)
		wantError(t, err, errOverdrawn)
		_, err = b.run(t.Context(), b.transfer("a", "b", 7), o)
		wantError(t, err, errOverdrawn)
		_, err = b.Handle(t.Context(), "a", withdraw{1}, Options{DryRun: true, Expected: eventstore.Exact(0)})
		wantError(t, err, eventstore.ErrConflict)
	}
	if head, err := store.Head(t.Context()); err != nil || head.Position != 2 {
		t.Errorf("Head = %+v, %v, want what was there", head, err)
	}
	if _, err := store.Receipt(t.Context(), "tester", "k"); !errors.Is(err, eventstore.ErrReceiptNotFound) {
		t.Errorf("a dry run kept a receipt: %v", err)
	}
}
