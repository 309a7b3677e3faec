package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/adminapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/sagas"
)

// modules are those of the App, and behind them that of the engine for sagas, if there are any.
func (a App) modules() []Module {
	if len(a.Sagas()) == 0 {
		return a.Modules
	}
	return append(slices.Clip(a.Modules), sagaModule)
}

// Sagas are the definitions of all modules, and that of Gather.
func (a App) Sagas() (all []*sagas.Saga) {
	for _, m := range a.Modules {
		all = append(all, m.Sagas...)
		for _, s := range m.Schedules {
			all = append(all, s.Define(beginNext))
		}
	}
	if a.Targets[delivery.KindGather] != nil {
		all = append(all, sagas.Gather())
	}
	return all
}

// Gather makes targets of subscriptions that gather events. An App that has it among its Targets, as delivery.KindGather, has the saga of
// sagas.Gather, whose instances the groups are.
func Gather(s *Service, d delivery.Definition) (delivery.Target, error) {
	return s.Sagas.GatherTarget(d)
}

// beginNext begins the instance of the next time of a schedule, in a step of one.
func beginNext(ctx context.Context, s sagas.Schedule, due time.Time) (time.Time, error) {
	return ServiceOf(ctx).Sagas.BeginNext(ctx, s, due)
}

// beginSchedules begins the instances of the next times of all schedules that have none.
func (s *Service) beginSchedules(ctx context.Context) error {
	for _, m := range s.here.Modules {
		for _, schedule := range m.Schedules {
			if _, err := s.Sagas.BeginNext(ctx, schedule, time.Time{}); err != nil {
				return fmt.Errorf("begin schedule %q: %w", schedule.Name, err)
			}
		}
	}
	return nil
}

// sagaModule has the streams of instances, what lists them, and what they wait for.
var sagaModule = Module{
	Name:        "sagas",
	Aggregates:  []Aggregate{newInstances()},
	Projections: []projections.Projection{sagas.Instances, sagas.Timers},
	Problems:    adminapi.SagaProblems,
	Metrics:     sagaMetrics,
	Invariants:  []Invariant{sagaInvariant},
	Routes:      func(s *Service, a *httpapi.API) { adminapi.RegisterSagas(a, s.SagaAdmin) },
}

// SagaAdmin is what operators see of sagas, and do with them. The App must have sagas.
func (s *Service) SagaAdmin() *sagas.Admin {
	return sagas.NewAdmin(sagas.AdminConfig{Engine: s.Sagas, Reader: s.Reader, Log: s.Log, Subscriptions: s.Subscriptions})
}

// sagaSubscriptions are those that the App's sagas get on by.
func (a App) sagaSubscriptions(codec *eventstore.Codec) []delivery.Subscription {
	return sagas.Subscriptions(codec, func(ctx context.Context) *sagas.Engine { return ServiceOf(ctx).Sagas }, a.Sagas()...)
}

// newInstances returns the streams of instances, which have no commands but what the engine does.
func newInstances() *AggregateOf[sagas.Instance, sagas.Event] {
	a := NewAggregate[sagas.Instance, sagas.Event](sagas.Category, "/v1/sagas")
	for _, t := range sagas.Types() {
		a.events = append(a.events, EventOf[sagas.Instance]{t, reflect.TypeFor[sagas.Event]()})
	}
	return a
}

// newEngine returns what runs the App's sagas; nil, if it has none.
func (c *Commands) newEngine(o CommandsConfig) (*sagas.Engine, error) {
	all := c.app.Sagas()
	if len(all) == 0 {
		return nil, nil
	}
	return sagas.NewEngine(sagas.Config{
		Sagas: all, Codec: c.codec, Units: c.units, Now: o.Now, AllowTargets: o.AllowTargets, Failed: o.SagaFailed,
		Handler: c.byCategory[sagas.Category].(*boundAggregate[sagas.Instance, sagas.Event]).handler,
		Decide:  c.decide,
	})
}

// Sagas is what runs the App's sagas; nil, if it has none.
func (c *Commands) Sagas() *sagas.Engine { return c.engine }

// sagaMistakes are commands of sagas that the App does not have, or of another type, as far as that does not depend on data.
func (a App) sagaMistakes() (mistakes []error) {
	specs := make(map[string]commandSpec)
	for _, aggregate := range a.aggregates() {
		for _, spec := range aggregate.commandSpecs() {
			specs[aggregate.Category()+"."+spec.name] = spec
		}
	}
	for _, unit := range a.units() {
		specs[unit.spec.name] = unit.spec
	}
	for _, s := range a.Sagas() {
		s.TryCommands(func(step string, c sagas.Command) {
			spec, known := specs[c.Name]
			switch _, isText := c.Command.(json.RawMessage); {
			case c.Name == "" || c.Command == nil || isText: // it depends on data, or is another's to check
			case !known:
				mistakes = append(mistakes, fmt.Errorf("app: saga %q: step %q runs %q, which is no command of the App: there are %s", s.Name(), step, c.Name,
					inWords(slices.Sorted(maps.Keys(specs)))))
			case reflect.TypeOf(c.Command) != spec.command:
				mistakes = append(mistakes, fmt.Errorf("app: saga %q: step %q: command %s is a %v, not a %T", s.Name(), step, c.Name, spec.command, c.Command))
			}
		})
	}
	return mistakes
}

// decide decides a command by its name as a part of a unit. The error is its refusal; that of one which cannot be made has sagas.CodeDefinition.
func (c *Commands) decide(tx *commands.Unit, of sagas.Command) error {
	for _, unit := range c.app.units() {
		if unit.spec.name == of.Name {
			command, _, err := unit.spec.part(of, c.engine.Now())
			if err != nil {
				return sagas.Fatal(sagas.CodeDefinition, err)
			}
			return unit.run(tx, c, command)
		}
	}
	b, verb, err := c.find(of.Name)
	if err != nil {
		return sagas.Fatal(sagas.CodeDefinition, err)
	}
	return b.decide(tx, verb, of, c.engine.Now())
}

// part returns the command of a step with its fields filled in, and the id of its stream. It is decided several times, so no id is made. Now is
// what time it is for sagas.
func (s commandSpec) part(of sagas.Command, now time.Time) (command any, id string, err error) {
	if text, isText := of.Command.(json.RawMessage); isText { // of a definition as text
		into := reflect.New(s.command)
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(into.Interface()); err != nil {
			return nil, "", &eventstore.InvalidError{Field: "command", Reason: fmt.Sprintf("%s cannot be made of what the saga gives it: %v", of.Name, err)}
		}
		of.Command = into.Elem().Interface()
	}
	if reflect.TypeOf(of.Command) != s.command {
		return nil, "", wrongCommand(of.Name, s, of.Command)
	}
	s.makesID = false
	command, id = s.completed(of.Command, of.ID, &commands.Options{At: now})
	return command, id, nil
}

// decide implements bound.
func (b *boundAggregate[S, E]) decide(tx *commands.Unit, verb string, of sagas.Command, now time.Time) error {
	for _, c := range b.of.commands {
		if c.spec.name != verb {
			continue
		}
		value, id, err := c.spec.part(of, now)
		if err == nil && id == "" {
			err = &eventstore.InvalidError{Field: "id", Reason: "must be said of command " + of.Name + " of a saga"}
		}
		if err != nil {
			return sagas.Fatal(sagas.CodeDefinition, err)
		}
		get := b.handler.Get
		if _, creates := value.(commands.Creator); creates {
			get = b.handler.GetNew
		}
		state, _ := get(tx, id)
		events, err := value.(commands.Command[S, E]).Decide(state)
		if err != nil {
			return err
		}
		b.handler.Put(tx, id, events...)
		return nil
	}
	return sagas.Fatal(sagas.CodeDefinition, &eventstore.InvalidError{Field: "command", Reason: fmt.Sprintf("%q is none of %s", verb, b.of.category)})
}

// find returns the aggregate of a command with a name CATEGORY.COMMAND, and the command's name in it.
func (c *Commands) find(name string) (b bound, verb string, err error) {
	dot := max(strings.LastIndexByte(name, '.'), 0) // a category may have others
	category, verb := name[:dot], strings.TrimPrefix(name[dot:], ".")
	b, ok := c.byCategory[category]
	if !ok {
		return nil, "", &eventstore.InvalidError{Field: "command",
			Reason: fmt.Sprintf("%q must be a unit, or CATEGORY.COMMAND of category %s", name, inWords(c.app.Categories()))}
	}
	return b, verb, nil
}
