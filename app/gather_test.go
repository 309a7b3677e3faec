package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/sagas"
)

func paymentsApp(timeout time.Duration) app.App {
	targets := map[string]func(*app.Service, delivery.Definition) (delivery.Target, error){delivery.KindGather: app.Gather}
	return app.App{Name: "payments", Targets: targets, Modules: []app.Module{{
		Name: "payments",
		Subscriptions: []delivery.Subscription{{Definition: delivery.Definition{
			Name: "paid", Start: delivery.Start{At: delivery.AtBeginning}, Filter: json.RawMessage(`{"type":["Authorized","Screened","Booked"]}`),
			Target: delivery.TargetConfig{Gather: &delivery.GatherTarget{
				Correlate: "$.data.transaction_id", Expect: delivery.Expect{Parts: []string{"Authorized", "Screened", "Booked"}}, Timeout: delivery.Duration(timeout),
				Data: "$.data.by", Result: delivery.GatherResult{Type: "Paid", Stream: "paid-{id}"},
			}},
		}}},
	}}}
}

// happen appends an event about a transaction, to a stream of the service that says so: not all are of one partition.
func happen(t *testing.T, log eventstore.Appender, transaction, what, by string) {
	t.Helper()
	_, err := log.Append(t.Context(), eventstore.StreamAppend{Stream: by + "-" + transaction, Expected: eventstore.Any, Events: []eventstore.Event{{
		ID: uuid.New(), Type: what, Data: fmt.Appendf(nil, `{"transaction_id":%q,"by":%q}`, transaction, by),
	}}}, eventstore.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func resultsOf(t *testing.T, log eventstore.Reader, transaction string) (all []string) {
	t.Helper()
	for e, err := range log.ReadStream(t.Context(), "paid-"+transaction, eventstore.ReadOptions{}) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Type+" "+string(e.Data))
	}
	return all
}

// TestGatherOnTwoProcesses: parts that come at once, to two processes and twice, have one result.
func TestGatherOnTwoProcesses(t *testing.T) {
	t.Parallel()
	a := paymentsApp(time.Hour)
	x := apptest.Postgres(t, a)
	second, err := app.Open(t.Context(), a, app.Options{DSN: x.Service.Pool.Config().ConnString(), Schema: x.Service.Schema, MaxConns: 8, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	const groups = 10
	var all sync.WaitGroup
	for n := range groups {
		id := fmt.Sprint("t", n)
		for _, part := range [][2]string{{"Authorized", "bank"}, {"Authorized", "other"}, {"Screened", "risk"}, {"Booked", "ledger"}} {
			happen(t, x.Service.Log, id, part[0], part[1])
		}
	}
	at, err := x.Service.Log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range x.Service.Log.ReadAll(t.Context(), eventstore.ReadOptions{From: 1, Limit: at.Position}) {
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains([]string{"Authorized", "Screened", "Booked"}, e.Type) {
			continue
		}
		for _, process := range []*app.Service{x.Service, second} { // beside the subscription itself
			all.Go(func() {
				target := gatherTarget(t, process)
				for err := errors.New("not yet"); err != nil && t.Context().Err() == nil; {
					err = target.Deliver(t.Context(), &delivery.Delivery{Subscription: "paid", Events: []delivery.Event{{RecordedEvent: &e, MessageID: delivery.MessageID(at.Log, &e), Attempt: 1}}})
				}
			})
		}
	}
	all.Wait()
	deliver(t, x)
	for n := range groups {
		id := fmt.Sprint("t", n)
		all := resultsOf(t, x.Service.Log, id)
		var result sagas.Gathered
		if len(all) != 1 || json.Unmarshal([]byte(all[0][len("Paid "):]), &result) != nil {
			t.Fatalf("%s has the results %q, want one", id, all)
		}
		if result.TimedOut || len(result.Missing) > 0 || len(result.Parts) != 3 || string(result.Parts["Screened"]) != `"risk"` || result.Correlate != id {
			t.Errorf("%s has the result %+v", id, result)
		}
		i, _, err := x.Service.Sagas.Load(t.Context(), sagas.GatherName, "paid:"+id)
		if err != nil || len(i.Seen) != 4 || i.Status != sagas.Completed {
			t.Errorf("%s was told of %d events, and is %s, %v", id, len(i.Seen), i.Status, err)
		}
	}
}

func gatherTarget(t *testing.T, s *app.Service) delivery.Target {
	t.Helper()
	d, err := s.App.Subscriptions()[0].Definition.Checked()
	if err != nil {
		t.Fatal(err)
	}
	target, err := s.Sagas.GatherTarget(d)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// TestGatherTimesOut: a group that is not complete has a result that says what is missing, and what comes later changes nothing.
func TestGatherTimesOut(t *testing.T) {
	t.Parallel()
	x := apptest.New(t, paymentsApp(10*time.Minute))
	happen(t, x.Service.Log, "t1", "Booked", "ledger")
	deliver(t, x)
	x.Advance(11 * time.Minute)
	deliver(t, x)
	happen(t, x.Service.Log, "t1", "Screened", "risk")
	happen(t, x.Service.Log, "t1", "Authorized", "bank")
	deliver(t, x)
	want := `Paid {"subscription":"paid","correlate":"t1","parts":{"Booked":"ledger"},"expected":3,"missing":["Authorized","Screened"],"timed_out":true}`
	if all := resultsOf(t, x.Service.Log, "t1"); len(all) != 1 || all[0] != want {
		t.Errorf("its results are %q, want %s", all, want)
	}
	late := 0
	for _, e := range x.Events(sagas.StreamOf(sagas.GatherName, "paid:t1")) {
		if m, ok := e.(sagas.Received); ok && m.Type == "late" {
			late++
		}
	}
	if late != 2 {
		t.Errorf("%d events are recorded as late, want 2", late)
	}
	happen(t, x.Service.Log, "", "Booked", "ledger")
	err := x.Deliver()
	if outcome, _ := delivery.OutcomeOf(err); outcome != delivery.PermanentFailure {
		t.Errorf("an event of no group leads to %v, want that it is refused for good", err)
	}
}

// TestGatherLargeParts: parts that fit have a result, of HTML too, which encoding/json makes larger; one that cannot fit is refused when it comes.
func TestGatherLargeParts(t *testing.T) {
	t.Parallel()
	x := apptest.New(t, paymentsApp(time.Hour))
	target := gatherTarget(t, x.Service)
	tell := func(n byte, what string, size int) (html string, _ error) {
		html = strings.Repeat("<p>a paragraph of the receipt & more</p>", size/40)
		return html, target.Deliver(t.Context(), &delivery.Delivery{Subscription: "paid", Events: []delivery.Event{{RecordedEvent: &eventstore.RecordedEvent{
			Event: eventstore.Event{ID: uuid.UUID{n}, Type: what, Data: fmt.Appendf(nil, `{"transaction_id":"t1","by":%q}`, html)}, Stream: "x-1",
		}, MessageID: uuid.UUID{n}, Attempt: 1}}})
	}
	for n, what := range []string{"Authorized", "Screened", "Booked"} {
		if _, err := tell(byte(10+n), what, 340_000); err == nil {
			t.Errorf("a part of 340 KB is taken")
		} else if outcome, _ := delivery.OutcomeOf(err); outcome != delivery.PermanentFailure {
			t.Errorf("a part that cannot fit: %v", err)
		}
		html, err := tell(byte(1+n), what, 330_000)
		if err != nil {
			t.Fatal(err)
		}
		if all := resultsOf(t, x.Service.Log, "t1"); n == 2 && (len(all) != 1 || strings.Count(all[0], html) != 3) {
			t.Errorf("the group has %d results, want one with three texts as they are", len(all))
		}
	}
}

// TestGatherSurvivesCrashes: a process that dies anywhere between an event and its result is told of it again, and has one result.
func TestGatherSurvivesCrashes(t *testing.T) {
	t.Parallel()
	died := errors.New("died")
	for at := 1; ; at++ {
		x := apptest.New(t, paymentsApp(time.Hour))
		hits := 0
		ctx := failpoint.OnAll(t, func(failpoint.Point, []string) error {
			if hits++; hits == at {
				return died
			}
			return nil
		})
		target := gatherTarget(t, x.Service)
		crashed := false
		for n, part := range []string{"Booked", "Authorized", "Screened"} {
			e := &delivery.Event{RecordedEvent: &eventstore.RecordedEvent{Event: eventstore.Event{
				ID: uuid.UUID{byte(n + 1)}, Type: part, Data: []byte(`{"transaction_id":"t1"}`),
			}, Stream: "x-1"}, MessageID: uuid.UUID{byte(n + 1)}}
			for {
				err := target.Deliver(ctx, &delivery.Delivery{Subscription: "paid", Events: []delivery.Event{*e}})
				if err == nil {
					break
				}
				if crashed = true; !errors.Is(err, died) {
					t.Fatal(err)
				}
			}
		}
		if all := resultsOf(t, x.Service.Log, "t1"); len(all) != 1 {
			t.Fatalf("after a crash at point %d the results are %q, want one", at, all)
		}
		if !crashed && hits < at {
			if at < 6 {
				t.Errorf("it came by %d points, want at least two for each event", at-1)
			}
			return
		}
	}
}
