// Iot keeps readings of sensors. It raises an alert when a reading is too high, until one is normal again, and when a device is silent.
//
//	go run ./examples/iot dev
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/window"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/sagas"
)

func main() { cli.Main(iot()) }

// iot returns the service. device.go has the rules.
func iot() app.App {
	devices := app.NewAggregate[Device, Event]("device", "/v1/devices").
		Events(
			app.Event[Registered]("DeviceRegistered", 1),
			app.Event[Read]("ReadingTaken", 1),
			app.Event[Raised]("AlertRaised", 1),
			app.Event[Cleared]("AlertCleared", 1),
			app.Event[Watched]("DeviceWatched", 1)).
		Commands(
			app.Create[Register]("register"),
			app.Do[Take]("readings"),
			app.Do[Look]("look", app.Internal)).
		Snapshots(1000, 1)
	// What the windows say: nothing is decided from it.
	minutes := app.NewAggregate[struct{}, Minute]("minutes", "/v1/minutes").Events(app.Event[Minute]("MinuteRead", 1))
	last, alerts, perMinute := newLast(), newAlerts(), newPerMinute()
	return app.App{Name: "iot", Version: "0.1.0", Short: "Readings of sensors, and alerts", Modules: []app.Module{{
		Name:          "devices",
		Aggregates:    []app.Aggregate{devices, minutes},
		Sagas:         []*sagas.Saga{silence()},
		Projections:   []projections.Projection{last, alerts, perMinute},
		Subscriptions: []delivery.Subscription{pager, {Definition: windows}},
		Reads: []app.Read{
			app.Row("/v1/devices/{id}", last),
			app.List("/v1/devices", last, app.ListOptions{}),
			app.List("/v1/devices/{device}/minutes", perMinute, app.ListOptions{}),
			app.List("/v1/alerts", alerts, app.ListOptions{Filters: []string{"kind"}}),
		},
		Problems: []httpapi.DomainProblem{
			app.Problem(ErrUnknown, http.StatusNotFound, "device-not-found", "There is no such device", "Register it: POST /v1/devices"),
			app.Problem(ErrExists, http.StatusConflict, "device-exists", "The device is registered", "Use another id, or none to be given one."),
		},
	}}}
}

// silence waits until a device may have been silent for too long, and looks.
func silence() *sagas.Saga {
	return sagas.Define("silence", 1, func(s *sagas.Steps[Watched]) {
		sagas.StartWith(s, func(e Watched) (string, Watched) { return fmt.Sprintf("%s-%d", e.Device, e.Number), e })
		s.WaitUntil("wait", func(_ time.Time, w Watched) time.Time { return w.Until })
		s.Command("look", func(w Watched) sagas.Command {
			return sagas.Command{Name: "device.look", ID: w.Device, Command: Look{At: w.Until}}
		})
	})
}

// pager tells who is on duty of alerts, in the log of the program.
var pager = delivery.Subscription{
	Definition: delivery.Definition{Name: "pager", Filter: json.RawMessage(`{"type":["AlertRaised"],"data":{"kind":["high","offline"]}}`)},
	Handler: delivery.Handle("pager", func(ctx context.Context, e Raised, at delivery.Event) error {
		zerolog.Ctx(ctx).Warn().Str("device", eventstore.StreamID(at.Stream)).Str("kind", string(e.Kind)).Msg(e.Text)
		return nil
	}),
}

// windows counts the readings of each device in minutes of their own time. A reading that is late makes another revision.
var windows = delivery.Definition{
	Name: "minutes", Start: delivery.Start{At: delivery.AtBeginning}, Filter: json.RawMessage(`{"type":["ReadingTaken"]}`),
	Target: delivery.TargetConfig{Window: &delivery.WindowTarget{
		Size: delivery.Duration(time.Minute), Time: "/data/at", Delay: delivery.Duration(10 * time.Second), Idle: delivery.Duration(10 * time.Second),
		Key: "/stream", Stream: "minutes-{key}", Type: "MinuteRead",
		Values: map[string]delivery.WindowValue{"lowest": {Op: window.Min, Path: "/data/value"}, "highest": {Op: window.Max, Path: "/data/value"},
			"mean": {Op: window.Avg, Path: "/data/value"}},
	}},
}

// minuteKey is a minute of a device, minute its row.
type (
	minuteKey struct {
		Device string
		Minute time.Time
	}
	minute struct {
		Readings              int64
		Lowest, Highest, Mean float64
	}
)

func newPerMinute() *projections.Fold[minuteKey, minute] {
	f := projections.NewFold[minuteKey, minute](projections.Table{Name: "minutes", Version: 1})
	projections.Upsert(f, func(e Minute, _ projections.Recorded) minuteKey {
		return minuteKey{eventstore.StreamID(e.Key), e.Start}
	},
		func(m *minute, e Minute, _ projections.Recorded) error {
			*m = minute{e.Events, e.Values.Lowest, e.Values.Highest, e.Values.Mean}
			return nil
		})
	return f
}

// reading is the row of a device, by its id: the last reading, and how many there were.
type reading struct {
	Value    *float64
	At       *time.Time
	Readings int64
}

func newLast() *projections.Fold[string, reading] {
	f := projections.NewFold[string, reading](projections.Table{Name: "last_readings", Version: 1})
	projections.Upsert(f, projections.ByID, func(*reading, Registered, projections.Recorded) error { return nil })
	projections.Update(f, projections.ByID, func(r *reading, e Read, _ projections.Recorded) error {
		if r.Readings++; r.At == nil || e.At.After(*r.At) {
			r.Value, r.At = &e.Value, &e.At
		}
		return nil
	})
	return f
}

// alertKey is what an alert is known by.
type alertKey struct{ Device, Kind string }

// alert is the row of one that is open.
type alert struct {
	Text  string
	Since time.Time
}

func newAlerts() *projections.Fold[alertKey, alert] {
	f := projections.NewFold[alertKey, alert](projections.Table{Name: "open_alerts", Version: 1, Indexes: []projections.Index{
		{Columns: []string{"kind"}},
	}})
	raised := func(e Raised, r projections.Recorded) alertKey {
		return alertKey{eventstore.StreamID(r.Stream), string(e.Kind)}
	}
	projections.Upsert(f, raised, func(a *alert, e Raised, _ projections.Recorded) error {
		*a = alert{e.Text, e.At}
		return nil
	})
	projections.Delete(f, func(e Cleared, r projections.Recorded) alertKey {
		return alertKey{eventstore.StreamID(r.Stream), string(e.Kind)}
	})
	return f
}
