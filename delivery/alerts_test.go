package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

const allAlerts = `{"type":["$EventParked","$DeadLetter","$BreakerOpened","$BreakerClosed","$SubscriptionStopped"]}`

// alertsOf returns the alerts about a subscription that a log has, with their types and when they came.
func alertsOf(t testing.TB, log eventstore.Reader, subscription string) (all []Alert, events []eventstore.RecordedEvent) {
	t.Helper()
	for e, err := range log.ReadStream(t.Context(), AlertStream(subscription), eventstore.ReadOptions{}) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			return nil, nil
		}
		if err != nil {
			t.Fatal(err)
		}
		all, events = append(all, alertIn(t, &e)), append(events, e)
	}
	return all, events
}

// alertsUpTo returns how many alerts there are up to a position of the log.
func (b *bench) alertsUpTo(position int64) (n int64) {
	b.Helper()
	alerts := eventstore.Filter{StreamPrefixes: []string{alertPrefix}}
	for e, err := range b.store.ReadAll(b.Context(), eventstore.ReadOptions{Filter: alerts}) {
		if err != nil {
			b.Fatal(err)
		}
		if e.Position <= position {
			n++
		}
	}
	return n
}

func alertIn(t testing.TB, e *eventstore.RecordedEvent) (a Alert) {
	t.Helper()
	if err := json.Unmarshal(e.Data, &a); err != nil {
		t.Errorf("%s has %s: %v", e.Type, e.Data, err)
	}
	return a
}

// TestOperatorsAreToldByTheLog what becomes of a subscription, by another one. What becomes of one that gets alerts is not told: it
// would never end.
func TestOperatorsAreToldByTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	orders := &script{fails: func(e Event, _ int) error {
		switch e.Stream {
		case "order-1":
			return Permanent(errNot)
		case "order-2":
			return Gone(errNot)
		}
		return nil
	}}
	watch := &script{fails: func(Event, int) error { return nil }}
	broken := &script{fails: func(Event, int) error { return errNot }}
	for name, filter := range map[string]string{"orders": "null", "watch": allAlerts, "broken": allAlerts, "learns": `{"data":{"process":[{"exists":true}]}}`} {
		b.mustPut(name, `{"target":{"handler":{"name":"`+name+`"}},"start":"beginning","filter":`+filter+`,"retry":{"first":"10ms","cap":"20ms"}}`)
	}
	p := b.process("one", func(c *Config) {
		c.Handlers = []*Handler{HandleRaw("orders", orders.handle), HandleRaw("watch", watch.handle), HandleRaw("broken", broken.handle), HandleRaw("learns", broken.handle)}
	})
	stop := b.alive()
	defer stop()
	told := func(kind string, is func(Alert) bool) {
		t.Helper()
		b.eventually(func() error {
			watch.mu.Lock()
			defer watch.mu.Unlock()
			if !slices.ContainsFunc(watch.done, func(e Event) bool { return e.Type == kind && is(alertIn(t, e.RecordedEvent)) }) {
				return fmt.Errorf("of %d alerts none is the %s that is wanted", len(watch.done), kind)
			}
			return nil
		})
	}
	poison := b.events("order-1", placed{})
	told(TypeDeadLetter, func(a Alert) bool {
		return a == Alert{Subscription: "orders", Process: "one", Count: 1, FirstPosition: poison, LastPosition: poison, Class: "permanent", Error: "not now"}
	})
	for _, name := range []string{"broken", "learns"} {
		b.eventually(func() error {
			if b.rows(name, "waiting") == 0 {
				return fmt.Errorf("no alert has failed for %s", name)
			}
			return nil
		})
	}
	stopped := b.events("order-2", placed{})
	told(TypeSubscriptionStopped, func(a Alert) bool {
		return a == Alert{Subscription: "orders", Process: "one", Count: 1, FirstPosition: stopped, LastPosition: stopped, Class: "target-gone", Error: "not now"}
	})
	if err := p.Stop(t.Context()); err != nil { // so that all is told
		t.Fatal(err)
	}
	for _, name := range []string{"watch", "broken", "learns"} {
		if all, _ := alertsOf(t, b.store, name); len(all) > 0 {
			t.Errorf("%s, which gets alerts, is told of: %+v", name, all)
		}
	}
	orders.seen.mu.Lock()
	defer orders.seen.mu.Unlock()
	if slices.ContainsFunc(orders.list, func(e Event) bool { return isAlert(e.RecordedEvent) }) {
		t.Error("a subscription without a filter is given alerts")
	}
}

// TestABreakerIsTold when it opens and closes.
func TestABreakerIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var down atomic.Bool
	down.Store(true)
	s := &script{fails: func(Event, int) error {
		if down.Load() {
			return errNot
		}
		return nil
	}}
	b.process("one", declare(from(AtBeginning, HandleRaw("h", s.handle), func(d *Definition) { d.Breaker.Keys = 3 })))
	for i := range 8 {
		b.events(fmt.Sprintf("order-%d", i), placed{})
	}
	told := func(kind string, want Alert) {
		t.Helper()
		b.eventually(func() error {
			all, events := alertsOf(t, b.store, "h")
			i := slices.IndexFunc(events, func(e eventstore.RecordedEvent) bool { return e.Type == kind })
			if i < 0 || all[i] != want {
				return fmt.Errorf("told are %+v, want of them %s %+v", all, kind, want)
			}
			return nil
		})
	}
	told(TypeBreakerOpened, Alert{Subscription: "h", Process: "one", Count: 1, Class: "error", Error: "not now"})
	down.Store(false)
	told(TypeBreakerClosed, Alert{Subscription: "h", Process: "one", Count: 1})
}

// unwilling is a log that takes nothing for a time.
type unwilling struct {
	*memstore.Store
	refuses atomic.Bool
}

func (l *unwilling) Append(ctx context.Context, a eventstore.StreamAppend, o eventstore.AppendOptions) (eventstore.Appended, error) {
	if l.refuses.Load() {
		return eventstore.Appended{}, eventstore.ErrUnavailable
	}
	return l.Store.Append(ctx, a, o)
}

// TestWhateverHappensAlertsAreFew: the first at once, and then one in ten seconds for all that happened. What cannot be told is
// told later.
func TestWhateverHappensAlertsAreFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &unwilling{Store: memstore.New(memstore.Config{})}
		l := newAlerts(log, "p", zerolog.Nop())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); l.run(ctx) }()
		begun := time.Now()
		parked := func(position int64, text string) {
			var a Alert
			a.count(position, "error", text)
			l.add("orders", TypeEventParked, a)
			synctest.Wait()
		}
		wants := func(after time.Duration, want ...Alert) {
			t.Helper()
			synctest.Wait()
			got, events := alertsOf(t, log, "orders")
			if !slices.Equal(got, want) {
				t.Fatalf("told are %+v, want %+v", got, want)
			}
			if at := events[len(events)-1].RecordedAt.Sub(begun); at > after || at < after-time.Second {
				t.Errorf("told after %s, want at most a second before %s", at, after)
			}
		}
		tell := func(count int, first, last int64, text string) Alert {
			return Alert{Subscription: "orders", Process: "p", Count: count, FirstPosition: first, LastPosition: last, Class: "error", Error: text}
		}
		parked(7, "first")
		first := tell(1, 7, 7, "first")
		wants(0, first)
		for i := range int64(1000) {
			parked(2000-i, strings.Repeat("é", 600))
		}
		wants(0, first)
		time.Sleep(alertInterval + time.Second)
		second := tell(1000, 1001, 2000, strings.Repeat("é", 500))
		wants(11*time.Second, first, second)
		log.refuses.Store(true)
		parked(3000, "third")
		time.Sleep(alertInterval)
		parked(3001, "")
		log.refuses.Store(false)
		time.Sleep(2 * alertInterval)
		got, _ := alertsOf(t, log, "orders")
		if third := tell(2, 3000, 3001, ""); len(got) != 3 || got[2] != third {
			t.Errorf("told are %+v, want %+v last", got, third)
		}
		parked(4000, "at the end")
		cancel()
		<-ended
		l.flush(t.Context())
		got, _ = alertsOf(t, log, "orders")
		if last := tell(1, 4000, 4000, "at the end"); len(got) != 4 || got[3] != last {
			t.Errorf("told are %+v, want %+v last", got, last)
		}
		if err := log.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
