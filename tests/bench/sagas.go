package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/eventstore"
)

// Sagas measures how fast sagas get on, and what their timers cost.
type Sagas struct {
	// InFlight are the numbers of orders that are under way at once.
	InFlight []int
	// Duration is how long to measure each contender with each of them, and how long one looks at who is idle.
	Duration time.Duration
	// Timers is how many wait, beside fewTimers.
	Timers int
	// Only, if it is not empty, has the names of the parts to measure.
	Only []string
}

// The parts of Sagas. That for timers has two questions.
const (
	partOrders = "orders"
	partSteps  = "steps"
	partTimers = "timers"
)

// sagaUnits are what rates of these parts count; of others they count timers.
var sagaUnits = map[string]string{partOrders: "orders", partSteps: "steps"}

// SagaParts are what Sagas.Only can have.
var SagaParts = []string{partOrders, partSteps, partTimers}

const maxTimers = 10_000_000

// Name implements Benchmark.
func (b Sagas) Name() string { return "sagas" }

// notes say what is measured.
func (b Sagas) notes() []string {
	return []string{
		"Commands: an order of the shop, 19 events, from being placed until its saga has ended, in five steps that are commands; with read models, until those of the shop and of sagas have it.",
		"Shop checkout: until the order is confirmed, two of the steps being calls of a gateway that answers at once.",
		"Appends: the 19 events in seven appends, one a step and two before, that decide nothing.",
		"Steps: from one call to the next; of commands, a fifth of an order.",
	}
}

// Check implements Benchmark.
func (b Sagas) Check() error {
	if b.Timers < fewTimers || b.Timers > maxTimers {
		return invalid("there must be %d to %d timers, got %d", fewTimers, maxTimers, b.Timers)
	}
	for _, name := range b.Only {
		if !slices.Contains(SagaParts, name) {
			return invalid("there is no part %q, only %v", name, SagaParts)
		}
	}
	return errors.Join(checkCallers(b.InFlight), checkDuration(b.Duration))
}

func (b Sagas) run(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	all := make(map[string]float64)
	for i, measure := range []func(context.Context, *Env) ([]Result, map[string]float64, error){b.orders, b.steps, b.timers} {
		part := SagaParts[i]
		if len(b.Only) > 0 && !slices.Contains(b.Only, part) {
			continue
		}
		found, compared, err := measure(ctx, env)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", part, err)
		}
		if part != partTimers { // which has asked by itself
			found, compared = asked(part, found, compared)
		}
		results = append(results, found...)
		maps.Copy(all, compared)
	}
	return results, all, nil
}

// The contenders of the parts for orders and steps.
const (
	nameCommands   = "commands"
	nameReadModels = "commands, read models"
	nameCheckout   = "shop checkout"
	nameAppends    = "appends"
	nameCalls      = "calls"
)

// contenderShop is a shop that takes part.
type contenderShop struct {
	name  string
	roles []string
	shop  func(*desk) (app.App, []string)
}

var (
	delivers         = []string{app.RoleDelivery}
	deliversProjects = []string{app.RoleDelivery, app.RoleProjections}
)

// orders takes orders from being placed to their end: by five commands, with and without what keeps the read models, by the shop's own
// checkout, whose gateway answers at once, and as bare appends of the events that the commands come to. The latency is that of an order.
func (b Sagas) orders(ctx context.Context, env *Env) (results []Result, compared map[string]float64, err error) {
	for _, n := range b.InFlight {
		found, err := b.compete(ctx, env, n, true, contenderShop{nameCommands, delivers, commandShop},
			contenderShop{nameReadModels, deliversProjects, commandShop}, contenderShop{nameCheckout, delivers, checkoutShop})
		if err != nil {
			return nil, nil, err
		}
		results = append(results, found...)
	}
	compared = ratios(results, "", nameCommands, rate)
	maps.Copy(compared, ratios(results, "p50 ", nameCommands, median))
	return results, compared, nil
}

// steps says how long it is from one step to the next: of calls from when one is made until the next one is, of commands as a fifth of what
// an order takes.
func (b Sagas) steps(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	for _, n := range b.InFlight {
		found, err := b.compete(ctx, env, n, false, contenderShop{nameCommands, delivers, commandShop}, contenderShop{nameCalls, delivers, callShop})
		if err != nil {
			return nil, nil, err
		}
		for i := range found {
			r := &found[i]
			r.EventsPerSecond *= orderSteps
			r.Events *= orderSteps
			r.CPU /= orderSteps
			for round := range r.Rounds {
				r.Rounds[round] *= orderSteps
			}
			if r.Name == nameCommands {
				r.P50, r.P99, r.Max = r.P50/orderSteps, r.P99/orderSteps, r.Max/orderSteps
			}
		}
		results = append(results, found...)
	}
	return results, ratios(results, "p50 ", nameCalls, median), nil
}

// compete lets shops take turns with so many orders under way, and bare appends.
func (b Sagas) compete(ctx context.Context, env *Env, inFlight int, bare bool, shops ...contenderShop) (results []Result, err error) {
	desks := make([]*desk, len(shops))
	defer func() {
		for _, d := range desks {
			if d != nil {
				err = errors.Join(err, d.close(ctx))
			}
		}
	}()
	err = env.withEach(ctx, len(shops)+1, inFlight, func(all []*scratch) error {
		var contenders []contender
		for i, c := range shops {
			if desks[i], err = openDesk(ctx, all[i], c.roles, c.shop); err != nil {
				return err
			}
			contenders = append(contenders, contender{c.name, desks[i].order})
		}
		if bare {
			codec, err := desks[0].app.Codec()
			if err != nil {
				return err
			}
			contenders = append(contenders, contender{nameAppends, newBareOrders(all[len(shops)].store, codec).order})
		}
		if results, err = compete(ctx, env, pace{inFlight, b.Duration, defaultRounds}, contenders...); err != nil {
			return err
		}
		for i, d := range desks {
			if steps := d.steps(); steps.n > 0 {
				r := &results[i]
				r.P50, r.P99, r.Max = milliseconds(steps.quantile(0.50)), milliseconds(steps.quantile(0.99)), milliseconds(steps.max)
			}
			err = errors.Join(err, d.close(ctx))
			desks[i] = nil
		}
		return err
	})
	return results, err
}

// withEach is with for several logs.
func (e *Env) withEach(ctx context.Context, logs, callers int, use func([]*scratch) error) error {
	var open func([]*scratch) error
	open = func(list []*scratch) error {
		if len(list) == logs {
			return use(list)
		}
		return e.with(ctx, callers, func(s *scratch) error { return open(append(list, s)) })
	}
	return open(nil)
}

// appendAll appends events to streams as one append.
func appendAll(ctx context.Context, store eventstore.MultiStreamAppender, codec *eventstore.Codec, events []streamEvent) error {
	appends := make([]eventstore.StreamAppend, 0, len(events))
	at := make(map[string]int, len(events))
	for _, e := range events {
		event, err := codec.Encode(e.value)
		if err != nil {
			return err
		}
		i, known := at[e.stream]
		if !known {
			i = len(appends)
			at[e.stream] = i
			appends = append(appends, eventstore.StreamAppend{Stream: e.stream, Expected: eventstore.Any})
		}
		appends[i].Events = append(appends[i].Events, event)
	}
	_, err := store.AppendStreams(ctx, appends, eventstore.AppendOptions{})
	return err
}
