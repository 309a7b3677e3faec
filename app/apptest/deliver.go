package apptest

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/delivery"
)

// Deliver hands what was written since the last call, or since the beginning, to the Go handlers of the
// App's subscriptions, in order, what they write too, sends the mails of the others, gathers events, and returns the first error of one: the
// next call begins with that event again. Handlers that take a transaction and other targets need PostgreSQL. There subscriptions are
// delivered all the time, from where they begin, and Deliver waits until all is delivered, or something has failed.
//
// Sagas whose time has come by the clock of the test are told so, see Advance.
func (x *Test) Deliver() error {
	x.t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	for range maxRounds {
		before := x.head().Position
		if err := x.Service.FireTimers(x.t.Context()); err != nil {
			return err
		}
		for _, s := range x.Service.App.Subscriptions() {
			name := s.Name
			if s.Handler != nil && name == "" {
				name = s.Handler.Name()
			}
			if err := x.deliver(name, s); err != nil {
				return err
			}
		}
		if x.head().Position == before {
			return nil
		}
	}
	return fmt.Errorf("after %d rounds handlers still write", maxRounds)
}

// maxRounds bounds how often handlers may write because of what they have written.
const maxRounds = 1000

// Advance puts the clock by which sagas wait forward. It begins as that of the machine, and goes on with it.
func (x *Test) Advance(d time.Duration) { x.clock.ahead.Add(int64(d)) }

// clock is that of the machine, and some time ahead.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (x *Test) deliver(name string, s delivery.Subscription) error {
	if x.Service.Deliverer != nil {
		return x.awaitDelivery(name)
	}
	ctx := app.WithService(x.Service.Logger.WithContext(x.t.Context()), x.Service)
	from, attempts := x.delivered[name], x.attempts[name]
	others, err := x.others(s.Definition)
	if err != nil {
		return err
	}
	next, err := s.Rehearse(ctx, x.Service.Commands.Codec(), x.Service.Log, from, attempts, others...)
	if next > from || err == nil {
		attempts = delivery.Attempts{}
	}
	if err != nil {
		attempts.Made++
		if outcome, _ := delivery.OutcomeOf(err); outcome.Counted() {
			attempts.Counted++
		}
	}
	x.delivered[name], x.attempts[name] = next, attempts
	return err
}

// others returns the target of a subscription that is no handler; none, if that needs PostgreSQL.
func (x *Test) others(d delivery.Definition) ([]delivery.Target, error) {
	d, err := d.Checked()
	switch {
	case err != nil:
		return nil, nil // it has a handler, or is told of its mistakes
	case d.Target.Email != nil:
		target, err := x.Service.Mailer.Target(d)
		return []delivery.Target{target}, err
	case d.Target.Gather != nil && x.Service.Sagas != nil:
		target, err := x.Service.Sagas.GatherTarget(d)
		return []delivery.Target{target}, err
	}
	return nil, nil
}

// awaitDelivery waits until a subscription has come to the end of the log. The error is what a handler returned.
func (x *Test) awaitDelivery(name string) error {
	ctx, head := x.t.Context(), x.head().Position
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		status, err := x.Service.Subscriptions.Get(ctx, name)
		if err != nil {
			return err
		}
		if status.Failure != nil {
			return fmt.Errorf("subscription %s has stopped at position %d: %s", name, status.Failure.Position, status.Failure.Error)
		}
		for _, p := range status.Partitions {
			if p.Parked+p.Dead > 0 && p.LastError != nil {
				return fmt.Errorf("subscription %s: %s", name, p.LastError.Error)
			}
		}
		all := x.Service.Deliverer.Stats()
		for _, here := range all.Subscriptions {
			if here.Subscription == name && here.Partitions == len(status.Partitions) && all.Position >= head &&
				here.Lag == 0 && here.InFlight+here.Parked == 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("subscription %s is not delivered after %s", name, patience)
}
