package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/tests/chaos/work"
)

// subscribed is one of the subscriptions of a run.
type subscribed struct {
	name string
	// below is the amount that its events are below. While it is redefined it takes events up to a quarter more, which may
	// be delivered and need not.
	below int64
	// sends says that its events go to the receiver, else that they leave their effects in the database, each once.
	sends bool
	// hold says that events wait for one of their key that is dead.
	hold bool
	// target and the other fields of its definition.
	change func(*delivery.Definition)
}

func (s *subscribed) widest() int64 { return s.below * 5 / 4 }

// subscriptions are all that there are. Amounts are even, up to 65,535.
var subscriptions = []subscribed{
	{name: "hooks", below: 1300, sends: true},
	{name: "batches", below: 900, sends: true, hold: true, change: func(d *delivery.Definition) {
		d.Partitions, d.Batch = 2, delivery.Batch{MaxEvents: 20, Wait: delivery.Duration(20 * time.Millisecond)}
		d.AfterDead = delivery.Hold
	}},
	{name: work.CountedName, below: 4000, change: func(d *delivery.Definition) {
		d.Target.Handler = &delivery.HandlerTarget{Name: work.CountedName}
		d.Batch.MaxEvents = 50
	}},
	{name: "called", below: 2600, change: func(d *delivery.Definition) {
		d.Partitions, d.Target.SQL = 2, &delivery.SQLTarget{Function: "chaos.called"}
	}},
}

func filterBelow(amount int64) json.RawMessage {
	return fmt.Appendf(nil, `{"type":["%s"],"data":{"amount":[{"numeric":["<",%d]}]}}`, work.NoteType, amount)
}

// subscribe makes the subscriptions.
func (r *run) subscribe(ctx context.Context) error {
	return r.administer(ctx, func(a *delivery.Admin) error {
		for i := range subscriptions {
			s := &subscriptions[i]
			d := delivery.Definition{Name: s.name, Start: delivery.Start{At: delivery.AtBeginning}, Filter: filterBelow(s.below),
				Retry: delivery.Retry{MaxAttempts: 6, First: delivery.Duration(20 * time.Millisecond), Cap: delivery.Duration(time.Second)}}
			if s.sends {
				d.Target.HTTP = &delivery.HTTPTarget{URL: r.receiver.url(s.name), Timeout: delivery.Duration(time.Second)}
			}
			if s.change != nil {
				s.change(&d)
			}
			if _, err := a.Put(ctx, d, delivery.PutOptions{Actor: harnessName}); err != nil {
				return err
			}
		}
		return nil
	})
}

// administer does what operators do, and tries again while it cannot be done: something else may be broken just now.
func (r *run) administer(ctx context.Context, do func(*delivery.Admin) error) (err error) {
	for deadline := time.Now().Add(30 * time.Second); ; wait(ctx, 100*time.Millisecond) {
		if err = r.administerOnce(ctx, do); err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
	}
}

func (r *run) administerOnce(ctx context.Context, do func(*delivery.Admin) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	config, err := pgxpool.ParseConfig(r.cluster.dsn())
	if err != nil {
		return err
	}
	config.MaxConns, config.ConnConfig.RuntimeParams["application_name"] = 2, harnessName
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	store, err := pgstore.Open(ctx, pgstore.Config{Pool: pool, NoListen: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close(context.WithoutCancel(ctx))) }()
	return do(delivery.NewAdmin(pool, "", store, work.App))
}

// redefinitions are how subscriptions are changed.
var redefinitions = []func(*subscribed, *delivery.Definition){
	func(s *subscribed, d *delivery.Definition) {
		wide := filterBelow(s.widest())
		if string(d.Filter) == string(wide) {
			d.Filter = filterBelow(s.below)
		} else {
			d.Filter = wide
		}
	},
	func(_ *subscribed, d *delivery.Definition) {
		d.Retry.Cap = delivery.Duration(1500*time.Millisecond) - d.Retry.Cap
	},
	func(_ *subscribed, d *delivery.Definition) {
		if d.Partitions *= 2; d.Partitions > 16 {
			d.Partitions = 8 // all of them have to meet first
		}
	},
}

// delivery breaks who delivers, what there is to deliver, or to whom.
func (j *injector) delivery(ctx context.Context, f Fault) error {
	after := context.WithoutCancel(ctx)
	switch f.Kind {
	case Leave:
		p := j.run.processes[f.Target]
		if !p.leave() {
			return errNothing
		}
		j.struck(f.Kind)
		wait(ctx, f.For)
		return p.resume()
	case Pause:
		if err := j.run.administer(ctx, func(a *delivery.Admin) error { return a.Pause(ctx, f.Target, harnessName) }); err != nil {
			return err
		}
		j.struck(f.Kind)
		wait(ctx, f.For)
		return j.run.administer(after, func(a *delivery.Admin) error { return a.Resume(after, f.Target, harnessName) })
	case Redefine:
		return j.redefine(ctx, f)
	default:
		before := j.run.waiting(ctx)
		j.run.receiver.breakDown(1)
		j.struck(f.Kind)
		wait(ctx, f.For)
		j.run.outages.add(f, before, j.run.waiting(after))
		j.run.receiver.breakDown(-1)
		return nil
	}
}

func (j *injector) redefine(ctx context.Context, f Fault) error {
	i := slices.IndexFunc(subscriptions, func(s subscribed) bool { return s.name == f.Target })
	return j.run.administer(ctx, func(a *delivery.Admin) error {
		now, err := a.Get(ctx, f.Target)
		if err != nil {
			return err
		}
		d := now.Definition
		redefinitions[f.Hit](&subscriptions[i], &d)
		// Somebody else may change it at the same time.
		_, err = a.Put(ctx, d, delivery.PutOptions{IfRevision: now.Revision, Actor: harnessName})
		if err == nil {
			j.struck(f.Kind)
		}
		return err
	})
}

// resumeStopped lets subscriptions go on that the receiver has stopped, until ctx ends.
func (r *run) resumeStopped(ctx context.Context) {
	for r.receiver != nil && ctx.Err() == nil {
		wait(ctx, 500*time.Millisecond)
		_ = r.administerOnce(ctx, func(a *delivery.Admin) error { // the next time, if not now
			all, err := a.List(ctx)
			for i := range all {
				if all[i].Failure != nil {
					r.count("subscriptions that stopped, resumed")
					err = errors.Join(err, a.Resume(ctx, all[i].Name, harnessName))
				}
			}
			return err
		})
	}
}

func (r *run) resumeAll(ctx context.Context) error {
	return r.administer(ctx, func(a *delivery.Admin) error {
		var errs []error
		for _, s := range subscriptions {
			errs = append(errs, a.Resume(ctx, s.name, harnessName))
		}
		return errors.Join(errs...)
	})
}

// settleWithin is how long subscriptions may take, once nothing is broken any more, until nothing of them waits.
const settleWithin = 60 * time.Second

// settle waits until all subscriptions are at the end of the log and nothing waits, lets some dead letters be tried
// again, and waits for those.
func (r *run) settle(ctx context.Context) []logcheck.Violation {
	if r.receiver == nil {
		return nil
	}
	if found := r.awaitSettled(ctx, true); len(found) > 0 {
		return found
	}
	if err := r.redrive(ctx); err != nil {
		return []logcheck.Violation{{Rule: RuleSettled, Text: fmt.Sprintf("redrive: %v", err)}}
	}
	return r.awaitSettled(ctx, false)
}

// redrive lets all dead letters be tried again of those subscriptions that hold their keys, and half of them of the others, once.
func (r *run) redrive(ctx context.Context) error {
	return r.administer(ctx, func(a *delivery.Admin) error {
		for _, s := range subscriptions {
			if r.redriven[s.name] != nil {
				continue
			}
			var letters []delivery.DeadLetter
			for cursor, first := "", true; first || cursor != ""; first = false {
				page, next, err := a.Dead(ctx, s.name, delivery.DeadQuery{Limit: 1000, Cursor: cursor})
				if err != nil {
					return err
				}
				letters, cursor = append(letters, page...), next
			}
			positions := make(map[int64]bool)
			for i, l := range letters {
				if s.hold || i%2 == 0 {
					positions[l.Position] = true
				}
			}
			for some := range slices.Chunk(slices.Sorted(maps.Keys(positions)), 500) {
				if _, err := a.Redrive(ctx, s.name, delivery.DeadOptions{Filter: delivery.DeadFilter{Positions: some}, Actor: harnessName}); err != nil {
					return err
				}
			}
			r.redriven[s.name] = positions
			r.note("%s: %d dead letters, %d of them redriven", s.name, len(letters), len(positions))
		}
		return nil
	})
}

// awaitSettled waits until nothing waits. What is held by a dead letter may.
func (r *run) awaitSettled(ctx context.Context, heldMayWait bool) (found []logcheck.Violation) {
	for deadline := time.Now().Add(settleWithin); ; wait(ctx, 200*time.Millisecond) {
		found = found[:0]
		var all []delivery.Status
		err := r.administerOnce(ctx, func(a *delivery.Admin) (err error) {
			all, err = a.List(ctx)
			return err
		})
		if err != nil || len(all) != len(subscriptions) {
			found = append(found, logcheck.Violation{Rule: RuleSettled, Text: fmt.Sprintf("%d subscriptions, %v", len(all), err)})
		}
		for i := range all {
			if why := waits(&all[i], heldMayWait); why != "" {
				found = append(found, logcheck.Violation{Rule: RuleSettled, Text: fmt.Sprintf("%s: %s after %s", all[i].Name, why, settleWithin)})
			}
		}
		if len(found) == 0 || time.Now().After(deadline) || ctx.Err() != nil {
			return found
		}
	}
}

// waits says what a subscription waits for; empty: nothing.
func waits(s *delivery.Status, heldMayWait bool) string {
	held := heldMayWait && s.Definition.AfterDead == delivery.Hold
	switch {
	case s.Failure != nil || s.State == operations.Paused:
		return fmt.Sprintf("it is %s, %+v", s.State, s.Failure)
	case s.Halving != nil:
		return fmt.Sprintf("it is halved: %+v", *s.Halving)
	case s.LagEvents == nil || *s.LagEvents > 0 || s.Parked > 0 && !held:
		var all []string
		for _, p := range s.Partitions {
			text, _ := json.Marshal(p) // it says what there is
			all = append(all, string(text))
		}
		return "it is not done: " + strings.Join(all, "\n")
	}
	for _, p := range s.Partitions {
		if p.Dead > 0 && !heldMayWait && s.Definition.AfterDead == delivery.Hold {
			return fmt.Sprintf("partition %d has %d dead letters", p.Partition, p.Dead)
		}
	}
	return ""
}

// outages says what outages have left.
type outages struct {
	mu    sync.Mutex
	n     int
	found []logcheck.Violation
}

// parkedByOutage is how many rows more a partition may have after an outage than before.
const parkedByOutage = 100

// add takes down how many rows there were before and after an outage, of so many partitions.
func (o *outages) add(f Fault, before, after parkedRows) {
	if before.partitions == 0 || after.partitions == 0 {
		return // nobody can say
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
	if most := before.rows + parkedByOutage*max(before.partitions, after.partitions); after.rows > most {
		o.found = append(o.found, logcheck.Violation{Rule: RuleOutage,
			Text: fmt.Sprintf("%s: %d rows before, %d after, with %d partitions", f, before.rows, after.rows, after.partitions)})
	}
}

// parkedRows is how many rows wait, and in how many partitions.
type parkedRows struct{ rows, partitions int }

// waiting counts the rows that wait, of subscriptions that send and hold nothing back behind dead letters.
func (r *run) waiting(ctx context.Context) (p parkedRows) {
	_ = r.administerOnce(ctx, func(a *delivery.Admin) error { // nobody can say now
		all, err := a.List(ctx)
		for i := range all {
			if s := &all[i]; s.Definition.Target.HTTP != nil && s.Definition.AfterDead != delivery.Hold {
				p.rows, p.partitions = p.rows+int(s.Parked), p.partitions+len(s.Partitions)
			}
		}
		return err
	})
	return p
}
