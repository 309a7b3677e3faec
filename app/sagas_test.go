package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/queries"
	"github.com/57528e99/recount/sagas"
)

// trip is an aggregate that the saga of the tests books, and undoes.
type trip struct {
	Price  int64
	Status string
}

type tripEvent interface{ Evolve(trip) trip }

type tripBooked struct {
	ID    string `json:"id"`
	Price int64  `json:"price"`
}

func (e tripBooked) Evolve(trip) trip { return trip{e.Price, "booked"} }

type tripApproved struct {
	ID string `json:"id"`
	By string `json:"by"`
}

func (e tripApproved) Evolve(t trip) trip { return t }

// tripBecame is for what the saga does.
type tripBecame struct {
	Status string `json:"status"`
}

func (e tripBecame) Evolve(t trip) trip { t.Status = e.Status; return t }

type book struct {
	ID    string `json:"id" app:"id"`
	Price int64  `json:"price"`
}

func (c book) Decide(trip) ([]tripEvent, error) { return []tripEvent{tripBooked(c)}, nil }

type approve struct {
	ID string `json:"-" app:"id"`
	By string `json:"by" app:"actor"`
}

func (c approve) Decide(trip) ([]tripEvent, error) { return []tripEvent{tripApproved(c)}, nil }

type become struct {
	Status string `json:"status"`
}

var errUnlucky = errors.New("no trip costs 13")

func (c become) Decide(t trip) ([]tripEvent, error) {
	if t.Price == 13 && c.Status == "confirmed" {
		return nil, errUnlucky
	}
	return []tripEvent{tripBecame(c)}, nil
}

// bank is somebody else, who takes money once for each key.
type bank struct {
	mu    sync.Mutex
	calls []string
	// fails is how often it does not answer.
	fails int
}

func (b *bank) pay(_ context.Context, key string, _ int64) error    { return b.call("pay", key) }
func (b *bank) refund(_ context.Context, key string, _ int64) error { return b.call("refund", key) }

func (b *bank) call(what, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails > 0 {
		b.fails--
		return errors.New("the bank does not answer")
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(key, "booking-"), "/")
	b.calls = append(b.calls, what+" "+id)
	return nil
}

func (b *bank) of(id string) (calls []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.calls {
		if what, of, _ := strings.Cut(c, " "); of == id {
			calls = append(calls, what)
		}
	}
	return calls
}

func tripsApp(all ...*sagas.Saga) app.App {
	return app.App{Name: "travel", Modules: []app.Module{{
		Name: "trips",
		Aggregates: []app.Aggregate{app.NewAggregate[trip, tripEvent]("trip", "/v1/trips").
			Events(app.Event[tripBooked]("TripBooked", 1), app.Event[tripApproved]("TripApproved", 1), app.Event[tripBecame]("TripBecame", 1)).
			Commands(app.Create[book]("book"), app.Do[approve]("approve"), app.Do[become]("become", app.Internal))},
		Sagas: all,
	}}}
}

// onBoth runs a test in memory and on PostgreSQL.
func onBoth(t *testing.T, f func(t *testing.T, run func(testing.TB, app.App) *apptest.Test)) {
	for kind, run := range map[string]func(testing.TB, app.App) *apptest.Test{"memory": apptest.New, "postgres": apptest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f(t, run)
		})
	}
}

// row is what lists say of an instance.
func row(t *testing.T, x *apptest.Test, id string) string {
	t.Helper()
	r, _ := apptest.Row(x, sagas.Instances, sagas.InstanceKey{Saga: "booking", ID: id})
	return strings.TrimSuffix(fmt.Sprintf("%s %s", r.Status, r.Step), " ")
}

func deliver(t *testing.T, x *apptest.Test) {
	t.Helper()
	if err := x.Deliver(); err != nil {
		t.Fatal(err)
	}
}

// TestSagas lets several instances come to each end, side by side.
func TestSagas(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, run func(testing.TB, app.App) *apptest.Test) {
		b := new(bank)
		x := run(t, tripsApp(booking(b)))
		for id, price := range map[string]int64{"good": 100, "unlucky": 13, "late": 100, "cancelled": 100} {
			if err := x.Do("trip.book", id, book{Price: price}); err != nil {
				t.Fatal(err)
			}
		}
		deliver(t, x)
		for _, id := range []string{"good", "unlucky", "late", "cancelled"} {
			if got := row(t, x, id); got != "running approval" || x.State("trip-"+id).(trip).Status != "reserved" {
				t.Errorf("%s is %s with %+v, want that it waits for the approval", id, got, x.State("trip-"+id))
			}
		}
		redeliver(t, x, "trip-good")
		for _, id := range []string{"good", "unlucky"} {
			if err := x.Do("trip.approve", id, approve{By: "ann"}); err != nil {
				t.Fatal(err)
			}
		}
		act := sagas.Intervene{Intervened: sagas.Intervened{Act: sagas.Cancel, Actor: "ops", Reason: "the customer called"}}
		if _, err := x.Service.Sagas.Do(t.Context(), "booking", "cancelled", act, commands.Options{}); err != nil {
			t.Fatal(err)
		}
		deliver(t, x)
		if got := row(t, x, "good"); got != "running cool-off" {
			t.Errorf("good is %s, want that it waits", got)
		}
		x.Advance(21 * time.Minute)
		deliver(t, x)
		x.Advance(time.Hour)
		deliver(t, x)
		for id, want := range map[string]struct {
			row, trip, code string
			calls           []string
		}{
			"good":      {"completed", "confirmed", "", []string{"pay"}},
			"unlucky":   {"failed", "released", sagas.CodeRejected, []string{"pay", "refund"}},
			"late":      {"failed", "released", sagas.CodeDeadline, []string{"pay", "refund"}},
			"cancelled": {"cancelled", "released", sagas.CodeCancelled, []string{"pay", "refund"}},
		} {
			i, _, err := x.Service.Sagas.Load(t.Context(), "booking", id)
			if err != nil {
				t.Fatal(err)
			}
			if got := row(t, x, id); got != want.row || i.Code != want.code || x.State("trip-"+id).(trip).Status != want.trip || !slices.Equal(b.of(id), want.calls) {
				t.Errorf("%s is %s (%s) with %+v after the calls %q, want %+v", id, got, i.Code, x.State("trip-"+id), b.of(id), want)
			}
		}
		if timers := apptest.Rows(x, sagas.Timers); len(timers) > 0 {
			t.Errorf("timers are left behind the end: %+v", timers)
		}
		for _, id := range []string{"good", "unlucky", "late"} { // what was caused by times and steps, too
			isOneTree(t, x, "trip-"+id, "TripBooked", "TripApproved")
		}
	})
}

// isOneTree demands that all of a trip and its booking is one tree, in which events of some types alone came from outside.
func isOneTree(t *testing.T, x *apptest.Test, stream string, outside ...string) {
	t.Helper()
	var flow queries.Traced
	for e, err := range x.Service.Log.ReadStream(t.Context(), stream, eventstore.ReadOptions{Limit: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		w := x.Request("GET", "/v1/trace/"+e.ID.String(), "")
		if err := json.Unmarshal(w.Body.Bytes(), &flow); w.Code != 200 || err != nil {
			t.Fatalf("trace of %s: %d %s", stream, w.Code, w.Body)
		}
	}
	left := len(x.Events(stream)) + len(x.Events("saga-booking-"+strings.TrimPrefix(stream, "trip-")))
	for i, e := range flow.Events {
		left--
		if (i == 0) != (e.Depth == 0) || e.Link != queries.LinkCause && !slices.Contains(outside, e.Type) {
			t.Errorf("%s: in the flow %s at position %d has depth %d and the cause %q", stream, e.Type, e.Position, e.Depth, e.CausationID)
		}
		if strings.HasPrefix(e.Stream, "saga-") && !strings.HasPrefix(e.Via, "saga booking") {
			t.Errorf("%s: %s at position %d comes via %q", stream, e.Type, e.Position, e.Via)
		}
	}
	if left != 0 || flow.Truncated {
		t.Errorf("%s: the flow lacks %d events: %+v", stream, left, flow)
	}
}

// redeliver hands the first event of a stream to the saga again, and the same once more as another event.
func redeliver(t *testing.T, x *apptest.Test, stream string) {
	t.Helper()
	x.Given(stream, x.Events(stream)[0])
	deliver(t, x)
	log := x.Service.Log
	head, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, before, _ := x.Service.Sagas.Load(t.Context(), "booking", "good")
	for e, err := range log.ReadStream(t.Context(), stream, eventstore.ReadOptions{}) {
		if err == nil && e.Type == "TripBooked" {
			err = x.Service.Sagas.Trigger(t.Context(), "booking", &delivery.Event{RecordedEvent: &e, MessageID: delivery.MessageID(head.Log, &e), Attempt: 2})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, after, _ := x.Service.Sagas.Load(t.Context(), "booking", "good"); after != before {
		t.Errorf("the instance went from version %d to %d by events that it had", before, after)
	}
}

// Commands that follow one another are appended together. One that cannot be done holds up none before it.
func TestCommandsBeforeOneThatFails(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		broken func(tripData) sagas.Command
		status sagas.StepStatus
	}{
		"no such command": {func(d tripData) sagas.Command {
			return sagas.Command{Name: map[bool]string{true: "trip.vanish"}[d.ID != ""], ID: d.ID, Command: become{}} // which is not seen beforehand
		}, sagas.NotDone},
		"panic": {func(tripData) sagas.Command { panic("no command can be made") }, sagas.Open},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			saga := sagas.Define("booking", 1, func(s *sagas.Steps[tripData]) {
				sagas.StartWith(s, func(e tripBooked) (string, tripData) { return e.ID, tripData{ID: e.ID, Price: e.Price} })
				s.Command("reserve", becomes("reserved"))
				s.Command("pack", becomes("packed"))
				s.Command("broken", c.broken)
			})
			x := apptest.New(t, tripsApp(saga))
			if err := x.Do("trip.book", "t1", book{ID: "t1", Price: 5}); err != nil {
				t.Fatal(err)
			}
			for range 3 { // each step that it would go on from fails once
				_ = deliverAll(x)
			}
			i, _, err := x.Service.Sagas.Load(t.Context(), "booking", "t1")
			if step, _ := i.Step("broken"); err != nil || step.Status != c.status {
				t.Errorf("the instance is %+v, %v", i, err)
			}
			got := fmt.Sprint(x.Events("trip-t1"))
			if want := "[{t1 5} {reserved} {packed}]"; got != want {
				t.Errorf("the trip has %s, want %s", got, want)
			}
		})
	}
}

// deliverAll delivers what can be, and returns what a handler panics with.
func deliverAll(x *apptest.Test) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return x.Deliver()
}

// TestStepsAreTriedAgain as often as they may.
func TestStepsAreTriedAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, run func(testing.TB, app.App) *apptest.Test) {
		for fails, want := range map[int]string{2: "running approval", 3: "failed"} {
			b := &bank{fails: fails}
			x := run(t, tripsApp(booking(b)))
			if err := x.Do("trip.book", "one", book{Price: 100}); err != nil {
				t.Fatal(err)
			}
			for range 100 { // each failure is an error of Deliver
				if err := x.Deliver(); err == nil && row(t, x, "one") == want {
					break
				}
			}
			if got := row(t, x, "one"); got != want {
				t.Errorf("after %d failures it is %s, want %s", fails, got, want)
			}
			if x.Service.Subscriptions == nil {
				continue
			}
			attempts := 0
			for end := time.Now().Add(30 * time.Second); attempts != 2 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) { // they are written later
				d, err := x.Service.SagaAdmin().Show(t.Context(), "booking", "one", 0)
				if err != nil {
					t.Fatal(err)
				}
				attempts = 0
				for _, e := range d.History {
					attempts += len(e.Attempts)
				}
			}
			if attempts != 2 { // the third ends the step, whatever comes of it
				t.Errorf("the history has %d attempts that failed, want 2", attempts)
			}
		}
	})
}

// TestOperatorsOfSagas look at instances and act on them over HTTP.
func TestOperatorsOfSagas(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, run func(testing.TB, app.App) *apptest.Test) {
		a := tripsApp(booking(new(bank)))
		a.Actor = func(r *http.Request) (string, error) { return r.Header.Get("X-Actor"), nil }
		x := run(t, a)
		for _, id := range []string{"a1", "a2", "b1"} {
			if err := x.Do("trip.book", id, book{Price: 100}); err != nil {
				t.Fatal(err)
			}
		}
		deliver(t, x)
		apptest.Rows(x, sagas.Instances) // the list has come up to here
		if x.Service.Subscriptions != nil {
			w := httptest.NewRecorder()
			x.Service.Metrics.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
			for _, want := range []string{`recount_saga_instances{saga="booking",status="running"} 3`, `recount_saga_unchanged_seconds{saga="booking",status="running"} `} {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("the metrics lack %s", want)
				}
			}
		}
		for _, step := range []struct {
			method, path, body string
			status             int
			want               string
		}{
			{"GET", "/v1/sagas?saga=booking&status=running&limit=3", "", 200, `"id":"b1"`},
			{"GET", "/v1/sagas?saga=booking&id=a", "", 200, `"id":"a2"`},
			{"GET", "/v1/sagas?saga=booking&step=approval&before=2999-01-01T00:00:00Z&oldest_first", "", 200, `"id":"a1"`},
			{"GET", "/v1/sagas?step=approval", "", 400, "needs a saga"},
			{"GET", "/v1/sagas/booking/none", "", 404, "saga-not-found"},
			{"GET", "/v1/sagas/bookings/a1", "", 404, "the sagas of this program are booking"},
			{"POST", "/v1/sagas/booking/a1/cancel", `{}`, 400, "must say why"},
			{"POST", "/v1/sagas/booking/none/cancel", `{"reason":"test"}`, 404, "saga-not-found"},
			{"POST", "/v1/sagas/booking/a1/cancel", `{"reason":"test"}`, 200, `"act":"cancel"`},
			{"POST", "/v1/sagas/booking/a1/cancel", `{"reason":"test"}`, 409, "saga-elsewhere"},
			{"POST", "/v1/sagas/booking/a2/terminate", `{"reason":"test"}`, 200, `"status":"terminated"`},
			{"POST", "/v1/sagas/booking/b1/retry", `{"reason":"test","step":"approval"}`, 409, "only what could not be undone"},
			{"POST", "/v1/sagas/booking/b1/migrate", `{"reason":"test","version":2}`, 409, "saga-version-missing"},
			{"POST", "/v1/sagas/booking/b1/answer", `{"reason":"on the phone","step":"approval","changes":{"approved":"bob"}}`, 200, `"status":"running"`},
			{"POST", "/v1/sagas/booking/b1/skip", `{"reason":"no need to wait","step":"cool-off"}`, 200, `"act":"skip"`},
			{"GET", "/v1/sagas/booking/b1", "", 200, `"actor":"ops"`},
			{"GET", "/v1/sagas/booking/b1", "", 200, `"reason":"on the phone"`},
			{"GET", "/v1/sagas/booking/b1", "", 200, `"approved":"bob"`},
		} {
			w := x.Request(step.method, step.path, step.body, "X-Actor: ops")
			if w.Code != step.status || !strings.Contains(w.Body.String(), step.want) {
				t.Errorf("%s %s %s = %d %s, want %d with %s", step.method, step.path, step.body, w.Code, w.Body, step.status, step.want)
			}
		}
		deliver(t, x)
		for id, want := range map[string]string{"a1": "cancelled", "a2": "terminated", "b1": "completed"} {
			if got := row(t, x, id); got != want {
				t.Errorf("%s is %s, want %s", id, got, want)
			}
		}
		if timers := apptest.Rows(x, sagas.Timers); len(timers) > 0 {
			t.Errorf("timers are left behind the end: %+v", timers)
		}
	})
}
