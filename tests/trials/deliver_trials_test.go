package trials

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/operations"
)

// subscriptionName is that of the subscription of a scenario, and of its handler.
const subscriptionName = "trial"

// subscription returns one of all events, from the first on, whose partitions are few and whose retries come soon.
func subscription(partitions int) delivery.Definition {
	return delivery.Definition{Name: subscriptionName, Start: delivery.Start{At: delivery.AtBeginning}, Partitions: partitions,
		Retry:  delivery.Retry{First: delivery.Duration(10 * time.Millisecond), Cap: delivery.Duration(10 * time.Millisecond)},
		Target: delivery.TargetConfig{Handler: &delivery.HandlerTarget{Name: subscriptionName}}}
}

func (w *world) subscriptions(s *pgstore.Store) *delivery.Admin {
	return delivery.NewAdmin(w.db.Pool, w.db.Schema, s, "trials")
}

func (w *world) subscribe(s *pgstore.Store, d delivery.Definition) {
	w.Helper()
	_, err := w.subscriptions(s).Put(w.Context(), d, delivery.PutOptions{Actor: "trial"})
	w.must(err)
}

// deliverer starts to deliver as another process does.
func (w *world) deliverer(process string, h *delivery.Handler, change ...func(*delivery.Config)) *delivery.Runner {
	w.Helper()
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	c := delivery.Config{Pool: w.pool(w.db.DSN, func(c *pgxpool.Config) { c.MaxConns = 8 }), Schema: w.db.Schema, App: "trials", Store: w.open(), Codec: accountCodec(),
		Process: process, Targets: map[string]delivery.TargetFactory{
			delivery.KindHTTP: func(d delivery.Definition) (delivery.Target, error) { return webhook.New(d, loopback) },
		}}
	if h != nil {
		c.Handlers = append(c.Handlers, h)
	}
	for _, f := range change {
		f(&c)
	}
	r, err := delivery.NewRunner(c)
	w.must(err)
	w.must(r.Start(w.Context()))
	w.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		w.must(r.Stop(ctx))
	})
	return r
}

func count[T any](w *world, sql string, args ...any) (n T) {
	w.Helper()
	w.must(w.db.Pool.QueryRow(w.Context(), sql, args...).Scan(&n))
	return n
}

// until waits until ok, which comes about with and without a mutant.
func (w *world) until(what string, ok func() bool) {
	w.Helper()
	if !eventually(w.Context(), 30*time.Second, ok) {
		w.Fatalf("waited in vain: %s", what)
	}
}

const lowestCursor = `SELECT min(position) FROM recount.subscription_partitions`

// takenAway lets a process have a partition taken from it while it delivers the first event, and returns when the attempt and
// what follows from it are over.
func (w *world) takenAway(h func(inside func()) *delivery.Handler, how string) {
	s := w.open()
	w.subscribe(s, subscription(1))
	began, let := make(chan struct{}), make(chan struct{})
	first := true
	handler := h(func() {
		if first {
			first = false
			close(began)
			<-let
		}
	})
	ended := make(chan struct{}, 100)
	r := w.deliverer("one", handler, func(c *delivery.Config) {
		c.Observe = func(delivery.Observation) { ended <- struct{}{} }
	})
	w.mustAppend(s, depositTo(1))
	<-began
	// Who has it now is alive, and does nothing.
	w.exec(`INSERT INTO recount.subscription_members (app, process, can_run, expires_at) VALUES ('trials', 'other', '{}', now() + interval '50 seconds')`)
	w.exec(how)
	close(let)
	<-ended
	w.until("the process has noticed, or has moved the cursor", func() bool {
		return len(r.Stats().Subscriptions) == 0 || count[int64](w, lowestCursor) > 0
	})
}

// The ways in which a partition becomes another's: somebody takes it; the database is a copy, which nobody has adopted.
const (
	taken  = `UPDATE recount.subscription_partitions SET epoch = nextval('recount.subscription_epochs'), member = (SELECT id FROM recount.subscription_members WHERE process = 'other')`
	copied = `UPDATE recount.log_incarnations SET system_identifier = system_identifier + 1`
)

func plain(inside func()) *delivery.Handler {
	return delivery.Handle(subscriptionName, func(context.Context, deposited, delivery.Event) error { inside(); return nil })
}

// movedLate has the cursor of a partition moved by who has lost it.
func movedLate(w *world) {
	w.takenAway(plain, taken)
	w.want(count[int64](w, lowestCursor) == 0, "the cursor was moved by who has lost the partition")
}

// movedInACopy has it moved in a database that was copied.
func movedInACopy(w *world) {
	w.takenAway(plain, copied)
	w.want(count[int64](w, lowestCursor) == 0, "the cursor was moved in a copy that is not adopted")
}

// effectLate has a handler commit in a transaction of who has lost the partition: the other one makes the effect as well.
func effectLate(w *world) {
	w.exec(`CREATE TABLE public.effects (n int)`)
	w.takenAway(func(inside func()) *delivery.Handler {
		return delivery.HandleTx(subscriptionName, func(ctx context.Context, tx delivery.Tx, _ deposited, _ delivery.Event) error {
			inside()
			_, err := tx.Exec(ctx, `INSERT INTO public.effects VALUES (1)`)
			return err
		})
	}, taken)
	w.want(count[int](w, `SELECT count(*) FROM public.effects`) == 0, "the effect was committed by who has lost the partition")
}

// lostMove loses the last move with a server that crashes, and lets its owner go on.
func lostMove(w *world) {
	s := w.open()
	w.subscribe(s, subscription(1))
	w.deliverer("one", delivery.Handle(subscriptionName, func(_ context.Context, _ deposited, at delivery.Event) error {
		if at.Position == 2 {
			return delivery.Permanent(errors.New("poison"))
		}
		return nil
	}))
	reached := func(position int64, rows int) func() bool {
		return func() bool {
			return count[int64](w, lowestCursor) >= position && count[int](w, `SELECT count(*) FROM recount.subscription_parked`) >= rows
		}
	}
	w.mustAppend(s, depositTo(1))
	w.until("the first is delivered", reached(1, 0))
	var position, moves int64
	w.must(w.db.Pool.QueryRow(w.Context(), `SELECT position, moves FROM recount.subscription_partitions`).Scan(&position, &moves))
	w.mustAppend(s, depositTo(2))
	w.mustAppend(s, depositTo(3))
	w.until("the second is parked", reached(3, 1))
	// As the crash leaves it.
	_, err := w.db.Pool.Exec(w.Context(), fmt.Sprintf(`BEGIN; DELETE FROM recount.subscription_parked;
		UPDATE recount.subscription_partitions SET position = %d, moves = %d; COMMIT`, position, moves))
	w.must(err)
	w.mustAppend(s, depositTo(4))
	w.until("the last is delivered", reached(4, 0))
	w.want(count[int](w, `SELECT count(*) FROM recount.subscription_parked WHERE position = 2`) == 1, "the event at position 2 is neither delivered nor parked")
}

// pausedMeanwhile appends while a subscription is paused.
func pausedMeanwhile(w *world) {
	s := w.open()
	w.subscribe(s, subscription(1))
	var delivered atomic.Int64
	w.deliverer("one", plain(func() { delivered.Add(1) }))
	w.mustAppend(s, depositTo(1))
	w.until("the first is delivered", func() bool { return count[int64](w, lowestCursor) == 1 })
	w.must(w.subscriptions(s).Pause(w.Context(), subscriptionName, "trial"))
	back := eventually(w.Context(), 15*time.Second, func() bool {
		return count[int](w, `SELECT count(member) FROM recount.subscription_partitions`) == 0
	})
	w.want(back && delivered.Load() == 1, "it delivers still")
}

// sameIDs appends events of the same id to two streams.
func sameIDs(w *world) {
	s := w.open()
	w.subscribe(s, subscription(1))
	got := make(chan uuid.UUID, 2)
	w.deliverer("one", delivery.Handle(subscriptionName, func(_ context.Context, _ deposited, at delivery.Event) error { got <- at.MessageID; return nil }))
	id := uuid.New()
	for account := range 2 {
		a := depositTo(account)
		a.Events[0].ID = id
		_, err := s.Append(w.Context(), a, eventstore.AppendOptions{})
		w.must(err)
	}
	one, other := <-got, <-got
	w.want(one != other, "two events have the message id %s", one)
}

// replayed has a handler that remembers given again what it had, but for the last event.
func replayed(w *world) {
	w.exec(`CREATE TABLE public.effects (position bigint)`)
	s := w.open()
	w.subscribe(s, subscription(1))
	var last atomic.Int64 // of a replay
	w.deliverer("one", delivery.HandleTxRaw(subscriptionName, func(ctx context.Context, tx delivery.Tx, d *delivery.Delivery) error {
		for _, e := range d.Events {
			if e.Replay != "" {
				last.Store(e.Position)
			}
			if _, err := tx.Exec(ctx, `INSERT INTO public.effects VALUES ($1)`, e.Position); err != nil {
				return err
			}
		}
		return nil
	}, delivery.Remember()))
	for account := range 3 {
		w.mustAppend(s, depositTo(account))
	}
	w.until("all have had their effect", func() bool { return count[int64](w, lowestCursor) == 3 })
	again := func(to int64, target *delivery.TargetConfig) {
		_, err := w.subscriptions(s).Replay(w.Context(), subscriptionName, delivery.ReplayOptions{From: delivery.Start{Position: 1},
			To: delivery.Start{Position: to}, Target: target, Allow: true, Reason: "trial"})
		w.must(err)
		w.until("the replay has ended", func() bool {
			all, err := w.subscriptions(s).Replays(w.Context(), subscriptionName)
			w.must(err)
			return all[0].State != operations.Running
		})
	}
	again(2, nil)
	w.want(count[int](w, `SELECT count(*) FROM public.effects`) == 3, "a replay to who remembers had effects again")
	// Another target has had none yet, though it is the same handler.
	same := subscription(1).Target
	again(2, &same)
	w.want(last.Load() == 2, "the replay up to position 2 ended with the event at %d", last.Load())
}

// hooked returns a receiver for the scenario's subscription.
func (w *world) hooked(s *pgstore.Store, receive http.HandlerFunc, state func(net.Conn, http.ConnState)) {
	receiver := httptest.NewUnstartedServer(receive)
	receiver.Config.ConnState = state
	receiver.Start()
	w.Cleanup(receiver.Close)
	d := subscription(1)
	d.Target = delivery.TargetConfig{HTTP: &delivery.HTTPTarget{URL: receiver.URL}}
	w.subscribe(s, d)
}

// toldToWait sends to a receiver that says when to come again.
func toldToWait(w *world) {
	s := w.open()
	asked := make(chan time.Time, 2)
	w.hooked(s, func(a http.ResponseWriter, _ *http.Request) {
		if asked <- time.Now(); len(asked) == 1 {
			a.Header().Set("Retry-After", "1")
			a.WriteHeader(http.StatusTooManyRequests)
		}
	}, nil)
	w.deliverer("one", nil)
	w.mustAppend(s, depositTo(1))
	w.until("the receiver was asked again", func() bool { return len(asked) == 2 })
	first, again := <-asked, <-asked
	w.want(again.Sub(first) >= 900*time.Millisecond, "it was asked again after %s, it had said 1s", again.Sub(first))
}

// letGo leaves a receiver to which nothing is sent any more.
func letGo(w *world) {
	s := w.open()
	var open atomic.Int64
	w.hooked(s, func(http.ResponseWriter, *http.Request) {}, func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	})
	w.deliverer("one", nil)
	w.mustAppend(s, depositTo(1))
	w.until("the event is delivered", func() bool { return count[int64](w, lowestCursor) == 1 })
	w.must(w.subscriptions(s).Pause(w.Context(), subscriptionName, "trial"))
	w.want(eventually(w.Context(), 15*time.Second, func() bool { return open.Load() == 0 }), "%d connections are open still", open.Load())
}

// toldOfItself lets everything fail: that of the log, and what is told of that.
func toldOfItself(w *world) {
	s := w.open()
	watch, failing := subscription(1), subscription(1)
	watch.Filter, failing.Name = []byte(`{"type":["`+delivery.TypeEventParked+`"]}`), "failing"
	w.subscribe(s, watch)
	w.subscribe(s, failing)
	r := w.deliverer("one", delivery.HandleRaw(subscriptionName, func(context.Context, *delivery.Delivery) error { return errors.New("down") }))
	w.mustAppend(s, depositTo(1))
	w.until("what is told of the event has failed too", func() bool {
		return count[int](w, `SELECT count(*) FROM recount.subscription_parked r JOIN recount.subscriptions s ON s.id = r.subscription WHERE s.name = $1`, subscriptionName) > 0
	})
	w.must(r.Stop(w.Context())) // so that all is told
	for e, err := range s.ReadStream(w.Context(), delivery.AlertStream(subscriptionName), eventstore.ReadOptions{}) {
		w.want(errors.Is(err, eventstore.ErrStreamNotFound), "the log says of what takes alerts: %s %s, %v", e.Type, e.Data, err)
	}
}
