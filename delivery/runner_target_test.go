package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/57528e99/recount/delivery/internal/core"
)

// targetFunc is a Target of a program's own.
type targetFunc func(ctx context.Context, d *Delivery) error

func (f targetFunc) Deliver(ctx context.Context, d *Delivery) error { return f(ctx, d) }

// toSQL returns a subscription whose target is of the kind sql, from the beginning.
func toSQL(name string) Subscription {
	s := from(AtBeginning, nil, func(d *Definition) { d.Name, d.Partitions = name, 1 })
	s.Target.SQL = &SQLTarget{Function: "f"}
	return s
}

// with returns a change of a configuration that declares a subscription whose target is made by f.
func with(s Subscription, f TargetFactory) func(*Config) {
	return func(c *Config) {
		c.Subscriptions, c.Targets = []Subscription{s}, map[string]TargetFactory{KindSQL: f}
	}
}

// TestAPanicOfATargetIsAFailure: of its event, not of the process.
func TestAPanicOfATargetIsAFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var s seen
	b.process("one", with(toSQL("h"), func(Definition) (Target, error) {
		return targetFunc(func(_ context.Context, d *Delivery) error {
			if e := d.Events[0]; s.add(e) == 1 && e.Stream == "order-1" {
				panic("no such order")
			}
			return nil
		}), nil
	}))
	first := b.events("order-1", placed{})
	b.has(&s, first, first)
	b.cursors("h", first, nil)
	b.eventually(func() error {
		if n := read[int](b, `SELECT count(*) FROM {schema}.subscription_attempts WHERE error LIKE 'panic: no such order%'`); n != 1 {
			return fmt.Errorf("%d attempts say that the target panicked, want 1", n)
		}
		return nil
	})
}

// leaking is a transactional target that leaves the result of a query open when it fails.
type leaking struct{ seen }

func (l *leaking) eachByItself() bool { return true }

func (l *leaking) Deliver(context.Context, *Delivery) error { return errNeedsTx }

func (l *leaking) DeliverTx(ctx context.Context, tx Tx, d *Delivery) error {
	for _, e := range d.Events {
		if e.Stream == "order-2" {
			if _, err := tx.Query(ctx, `SELECT generate_series(1, 100000)`); err != nil {
				return err
			}
			return errNot
		}
	}
	for _, e := range d.Events {
		l.add(e)
	}
	return nil
}

// TestATransactionThatCannotBeUndoneInPartHoldsUpNobody: what fails is found all the same.
func TestATransactionThatCannotBeUndoneInPartHoldsUpNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var last int64
	for i := range 8 {
		last = b.events(fmt.Sprintf("order-%d", i), placed{})
	}
	l := &leaking{}
	b.process("one", with(toSQL("h"), func(Definition) (Target, error) { return l, nil }))
	b.eventually(func() error {
		for p := range last {
			if at := p + 1; at != 3 && !slices.Contains(l.positions(), at) {
				return fmt.Errorf("position %d was not delivered", at)
			}
		}
		return nil
	})
}

// TestATargetThatCannotBeMadeIsNotTriedAllTheTime: and operators see why nothing is delivered.
func TestATargetThatCannotBeMadeIsNotTriedAllTheTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var made atomic.Int64
	b.process("one", with(toSQL("h"), func(Definition) (Target, error) {
		made.Add(1)
		return nil, errors.New("the variable TOKEN is not set")
	}))
	b.eventually(func() error {
		trouble := read[string](b, `SELECT coalesce(trouble, '') FROM {schema}.subscription_partitions`)
		if want := "its target cannot be made: the variable TOKEN is not set"; trouble != want {
			return fmt.Errorf("trouble is %q, want %q", trouble, want)
		}
		return nil
	})
	renewed := func() string { return read[string](b, `SELECT expires_at::text FROM {schema}.subscription_members`) }
	for range 3 {
		before := renewed()
		b.eventually(func() error {
			if renewed() == before {
				return errors.New("the process does not renew its lease")
			}
			return nil
		})
	}
	if n := made.Load(); n > 3 {
		t.Errorf("the target was made %d times within a few seconds", n)
	}
}

// TestNothingStaysOfATransactionThatFailedInPart: what the target takes for done is done again.
func TestNothingStaysOfATransactionThatFailedInPart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec(`CREATE TABLE {schema}.effects (position bigint)`)
	var last int64
	for i := range 8 {
		last = b.events(fmt.Sprintf("order-%d", i), placed{})
	}
	h := HandleTxRaw("h", func(ctx context.Context, tx Tx, d *Delivery) error {
		failed := make(map[int]error)
		for i, e := range d.Events {
			if e.Stream == "order-2" {
				failed[i] = errNot
			} else if _, err := tx.Exec(ctx, b.sql(`INSERT INTO {schema}.effects VALUES ($1)`), e.Position); err != nil {
				return err
			}
		}
		if len(failed) > 0 {
			return &PartialError{Failed: failed}
		}
		return nil
	})
	b.process("one", declare(from(AtBeginning, h, func(d *Definition) { d.Batch.MaxEvents, d.Partitions = 8, 1 })))
	b.eventually(func() error {
		if n := b.rows("h", "waiting"); n != 1 {
			return fmt.Errorf("%d events wait, want the one that fails", n)
		}
		return nil
	})
	b.cursors("h", last, map[string]int{"waiting": 1})
	if n := read[int64](b, `SELECT count(DISTINCT position) * 100 + count(*) FROM {schema}.effects`); n != 707 {
		t.Errorf("there are (different effects * 100 + effects) %d, want 707", n)
	}
}

// TestAWishIsKeptByWhoHasStopped: its last move must not say that it was carried out.
func TestAWishIsKeptByWhoHasStopped(t *testing.T) {
	t.Parallel()
	c := core.Config{MaxInFlight: 1, MaxParked: 1, Window: 1, MaxEvents: 1, Random: func() float64 { return 0 }}
	s := &running{runner: &Runner{moving: make(chan struct{}, 1)}, breaker: core.NewBreaker(20, c.Random), config: c}
	row := core.Row{Position: 1, Key: "a", State: core.Waiting}
	p := &partition{of: s, core: core.NewPartition(s.config, s.breaker, 1, []core.Row{row}), wished: make(map[int64]wish)}
	a, ok := p.core.Next(time.Now())
	if !ok {
		t.Fatal("nothing is tried")
	}
	p.core.Ended(time.Now(), a, []core.Result{{Outcome: core.Stop}})
	p.fulfil(p.core.Moves(), []wantedRow{{row, wantRetry}})
	if len(p.wished) != 0 {
		t.Errorf("%v counts as carried out", p.wished)
	}
}

// TestATargetThatCountsWrongly says nothing about what it has delivered.
func TestATargetThatCountsWrongly(t *testing.T) {
	t.Parallel()
	for _, failed := range []map[int]error{{7: errNot}, {0: nil}, {-1: errNot}, {}} {
		results := (&running{}).resultsOf(2, &PartialError{Failed: failed})
		if len(results) != 1 || results[0].Outcome != core.Transient {
			t.Errorf("with %v the events are %+v, want that the attempt failed", failed, results)
		}
	}
}
