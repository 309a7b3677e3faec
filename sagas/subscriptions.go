package sagas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

// TriggersName and StepsName return the names of the subscriptions of a saga: that for the events that its instances begin with and wait
// for, and that for the steps that they begin.
func TriggersName(saga string) string { return Category + "-" + saga }

// StepsName returns the name of the other one, see TriggersName.
func StepsName(saga string) string { return TriggersName(saga) + "-steps" }

// Types are those of the events of instances, as the codec of a program is to have them.
func Types() []eventstore.Type {
	return []eventstore.Type{
		eventstore.TypeOf[Started]("SagaStarted", 1), eventstore.TypeOf[Received]("SagaReceived", 1),
		eventstore.TypeOf[StepScheduled](typeScheduled, 1), eventstore.TypeOf[StepCompleted]("SagaStepCompleted", 1),
		eventstore.TypeOf[StepFailed]("SagaStepFailed", 1), eventstore.TypeOf[StepDropped]("SagaStepDropped", 1),
		eventstore.TypeOf[CompensationBegan]("SagaCompensationBegan", 1), eventstore.TypeOf[CompensationScheduled](typeUndoing, 1),
		eventstore.TypeOf[Compensated]("SagaCompensated", 1), eventstore.TypeOf[CompensationFailed]("SagaCompensationFailed", 1),
		eventstore.TypeOf[Ended]("SagaEnded", 1), eventstore.TypeOf[Intervened]("SagaIntervened", 1),
	}
}

// The types of events that are steps to do.
const (
	typeScheduled = "SagaStepScheduled"
	typeUndoing   = "SagaCompensationScheduled"
)

const (
	// stepTime is how long an attempt of a step may take: as long as one may.
	stepTime = 15 * time.Minute
	year     = 365 * 24 * time.Hour
)

// forVersion is for how long, at least, what no program can do waits for one that has the version.
const forVersion = time.Second

// patient is the retry of what does not end by failing.
var patient = delivery.Retry{MaxAttempts: 1000, MaxAge: delivery.Duration(year)}

// Subscriptions returns the two subscriptions of each saga. Of returns the Engine from the context of a delivery.
//
// That for triggers begins at the end of the log: a saga that is new in a program is not to begin anew what the program did before. That for
// steps begins at the beginning, for what is open is to be done. When a step has failed is the engine's to decide, not the subscription's.
func Subscriptions(codec *eventstore.Codec, of func(context.Context) *Engine, all ...*Saga) (subscriptions []delivery.Subscription) {
	for _, name := range Names(all) {
		types := triggerTypes(codec, name, all)
		if len(types) > 0 {
			subscriptions = append(subscriptions, delivery.Subscription{
				Definition: delivery.Definition{
					Description: triggersOf(name) + strconv.Itoa(newestOf(name, all)) + ", and tells them of what they wait for",
					Filter:      filterOf(map[string]any{"type": types}),
					MaxInFlight: 64,
					Retry:       patient,
				},
				Handler: each(TriggersName(name), of, func(ctx context.Context, e *Engine, at *delivery.Event) error { return e.Trigger(ctx, name, at) }),
				Merge: func(was, is delivery.Definition) delivery.Definition {
					return mergeTriggers(name, newestOf(name, all), was, is)
				},
			})
		}
		subscriptions = append(subscriptions, delivery.Subscription{
			Definition: delivery.Definition{
				Description: "does the steps of saga " + name,
				Start:       delivery.Start{At: "beginning"},
				Key:         delivery.Key{By: "none"},
				MaxInFlight: 64, MaxParked: 1_000_000,
				Retry:   patient,
				Breaker: delivery.Breaker{Keys: 10_000},
				Replays: delivery.RefuseReplays,
				Filter: filterOf(map[string]any{"category": []string{Category}, "type": []string{typeScheduled, typeUndoing},
					"stream": []any{map[string]string{"prefix": StreamOf(name, "")}}}),
			},
			Handler: each(StepsName(name), of, func(ctx context.Context, e *Engine, at *delivery.Event) error { return e.Step(ctx, name, at) }, delivery.Timeout(stepTime)),
		})
	}
	return subscriptions
}

// Names returns the names of definitions, each once, in the order in which they are first.
func Names(all []*Saga) (names []string) {
	for _, s := range all {
		if !slices.Contains(names, s.name) {
			names = append(names, s.name)
		}
	}
	return names
}

// triggerTypes returns the types of the events that instances of any version begin with or wait for, under present and former names.
func triggerTypes(codec *eventstore.Codec, saga string, all []*Saga) (types []string) {
	for _, s := range all {
		if s.name != saga {
			continue
		}
		for _, t := range s.triggers {
			if name, err := t.name(codec); err == nil {
				types = append(types, codec.Names(name)...)
			}
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// triggersOf begins the description of the subscription for the triggers of a saga. The newest version of those that declare it follows, by
// which mergeTriggers goes.
func triggersOf(saga string) string { return "begins instances of saga " + saga + ", up to version " }

func newestOf(saga string, all []*Saga) (version int) {
	for _, s := range all {
		if s.name == saga {
			version = max(version, s.version)
		}
	}
	return version
}

// mergeTriggers lets a program that lacks the newest version only add types to what those that have it wait for: it must not keep events
// from them.
func mergeTriggers(saga string, newest int, was, is delivery.Definition) delivery.Definition {
	var version int
	var types, more struct{ Type []string }
	if _, err := fmt.Sscanf(was.Description, triggersOf(saga)+"%d", &version); err != nil || version <= newest {
		return is
	}
	if json.Unmarshal(was.Filter, &types) != nil || json.Unmarshal(is.Filter, &more) != nil {
		return was // somebody has given it another filter
	}
	all := slices.Sorted(slices.Values(append(types.Type, more.Type...)))
	was.Filter = filterOf(map[string]any{"type": slices.Compact(all)})
	return was
}

func filterOf(p map[string]any) json.RawMessage {
	text, _ := json.Marshal(p) // of strings
	return text
}

// each returns a handler that takes the events of an attempt one after another.
func each(name string, of func(context.Context) *Engine, do func(context.Context, *Engine, *delivery.Event) error, options ...delivery.HandlerOption) *delivery.Handler {
	return delivery.HandleRaw(name, func(ctx context.Context, d *delivery.Delivery) error {
		for i := range d.Events {
			if err := do(ctx, of(ctx), &d.Events[i]); errors.As(err, new(*NoVersionError)) {
				return delivery.Elsewhere(err, forVersion)
			} else if err != nil {
				return err
			}
		}
		return nil
	}, options...)
}
