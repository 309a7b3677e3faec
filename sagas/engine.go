package sagas

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// Category is that of the streams of instances: that of instance 42 of saga checkout is saga-checkout-42.
const Category = "saga"

// Handler runs what is done with instances on their streams.
type Handler = commands.Handler[Instance, Event]

// Mistake is a step, or what undoes one, that has failed for a mistake in the program.
type Mistake struct{ Saga, ID, Step, Error string }

// mistakesIn returns those that events of an instance tell of.
func mistakesIn(saga, id string, events []Event) (all []Mistake) {
	for _, e := range events {
		switch e := e.(type) {
		case StepFailed:
			if e.Code == CodeDefinition {
				all = append(all, Mistake{saga, id, e.Step, e.Error})
			}
		case CompensationFailed:
			if e.Code == CodeDefinition {
				all = append(all, Mistake{saga, id, e.Step, e.Error})
			}
		}
	}
	return all
}

func (e *Engine) tell(failed []Mistake) {
	for _, one := range failed {
		if e.config.Failed != nil {
			e.config.Failed(one)
		}
	}
}

// Config is what an Engine runs with. All but Failed, AllowTargets and Now is required.
type Config struct {
	// Sagas are all definitions, of all versions.
	Sagas []*Saga
	// Codec is that of the events that instances begin with and wait for.
	Codec *eventstore.Codec
	// Handler is that of Category, Units run steps that are commands. They are of one store.
	Handler *Handler
	Units   *commands.Units
	// Decide decides a command of the program as part of a unit. An error refuses it, with CodeRejected or that of Fatal, and what it has put is
	// to be as it was before.
	Decide func(*commands.Unit, Command) error
	// Failed is told of each step, or what undoes one, that has failed with CodeDefinition, once that is written. Default: nobody is.
	Failed func(Mistake)
	// AllowTargets are networks that steps by HTTP may connect to although they are not public.
	AllowTargets []netip.Prefix
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Engine runs instances: what comes for them and what they do. All that it knows is in their streams, so any process does, and several
// at once.
type Engine struct {
	config Config
	// sagas are by name, the newest version first.
	sagas    map[string][]*Saga
	requests requests
}

// NewEngine returns an Engine. The error names all mistakes of the definitions.
func NewEngine(c Config) (*Engine, error) {
	now := c.Now
	if now == nil {
		now = time.Now
	}
	c.Now = func() time.Time { return eventstore.Microseconds(now()) }
	if err := Check(c.Codec, c.Sagas...); err != nil {
		return nil, err
	}
	e := &Engine{config: c, sagas: make(map[string][]*Saga)}
	for _, s := range c.Sagas {
		e.sagas[s.name] = append(e.sagas[s.name], s.In(c.Codec))
	}
	for _, all := range e.sagas {
		slices.SortFunc(all, func(a, b *Saga) int { return cmp.Compare(b.version, a.version) })
	}
	return e, nil
}

// Check returns all mistakes of definitions for a program with the given codec.
func Check(codec *eventstore.Codec, all ...*Saga) error {
	var errs []error
	seen := make(map[string]bool)
	for _, s := range all {
		errs = append(errs, s.Check())
		key := fmt.Sprintf("%s version %d", s.name, s.version)
		if seen[key] {
			errs = append(errs, fmt.Errorf("two sagas are %s", key))
		}
		seen[key] = true
		for _, t := range s.triggers {
			if _, err := t.name(codec); err != nil {
				errs = append(errs, fmt.Errorf("saga %q: %w", s.name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// Now returns what time it is for instances.
func (e *Engine) Now() time.Time { return e.config.Now() }

// Names returns the names of the sagas.
func (e *Engine) Names() []string { return Names(e.config.Sagas) }

// Has reports whether the program has a version of a saga.
func (e *Engine) Has(saga string, version int) bool {
	return slices.ContainsFunc(e.sagas[saga], func(s *Saga) bool { return s.version == version })
}

// instanceID is the id of an instance's stream.
func instanceID(saga, id string) string { return saga + "-" + id }

// StreamOf returns the stream of an instance.
func StreamOf(saga, id string) string { return Category + "-" + instanceID(saga, id) }

// ErrNoVersion is matched by *NoVersionError.
var ErrNoVersion = eventstore.NewError(eventstore.ClassUnknownSchema, "the program has no such version of the saga")

// NoVersionError says that a program has no definition of the version that an instance began with. Another program may have it.
type NoVersionError struct {
	Saga string
	// Version is 0 for an event that no definition takes.
	Version int
}

func (e *NoVersionError) Error() string {
	if e.Version == 0 {
		return fmt.Sprintf("no version of saga %q in this program takes such an event; one in another may", e.Saga)
	}
	return fmt.Sprintf("this program has no version %d of saga %q, with which the instance began; another one may have", e.Version, e.Saga)
}

// Unwrap returns ErrNoVersion.
func (e *NoVersionError) Unwrap() error { return ErrNoVersion }

// unrefused returns the NoVersionError in err, for that is no refusal; else err.
func unrefused(err error) error {
	if missing := new(NoVersionError); errors.As(err, &missing) {
		return missing
	}
	return err
}

// of returns the definition that an instance goes by: the newest if it has not begun.
func (e *Engine) of(name string, i Instance) (*Saga, error) {
	for _, s := range e.sagas[name] {
		if i.Version == 0 || s.version == i.Version {
			return s, nil
		}
	}
	return nil, &NoVersionError{name, i.Version}
}

// decision is an input as a command of the instance's stream.
type decision struct {
	engine *Engine
	saga   string
	in     Input
	now    time.Time
	// decided, if not nil, gets the events.
	decided func([]Event)
}

// Decide implements commands.Command.
func (d decision) Decide(i Instance) ([]Event, error) {
	s, err := d.engine.of(d.saga, i)
	if err != nil {
		return nil, err
	}
	if m, ok := d.in.(Intervene); ok && m.Act == Migrate {
		if s, err = d.engine.of(d.saga, Instance{Version: m.Version}); err != nil {
			return nil, err
		}
	}
	events, err := s.Decide(i, d.in, d.now)
	if err == nil && d.decided != nil {
		d.decided(events)
	}
	return events, err
}

// Do does something with an instance. Errors are those of commands.Handler.Handle; a *commands.RejectedError that matches ErrOver says that
// the instance is not where it can be done.
func (e *Engine) Do(ctx context.Context, saga, id string, in Input, o commands.Options) (commands.Result, error) {
	if len(e.sagas[saga]) == 0 {
		return commands.Result{}, e.unknown(saga)
	}
	var failed []Mistake
	decided := func(events []Event) { failed = mistakesIn(saga, id, events) }
	r, err := e.config.Handler.Handle(ctx, instanceID(saga, id), decision{e, saga, in, e.config.Now(), decided}, o)
	if err == nil {
		e.tell(failed)
	}
	return r, unrefused(err)
}

func (e *Engine) unknown(saga string) error {
	return &eventstore.InvalidError{Field: "saga", Reason: fmt.Sprintf("is %q, which this program has not: it has %s", saga, listed(e.Names()))}
}

// Load returns an instance, and its version: -1 if there is none.
func (e *Engine) Load(ctx context.Context, saga, id string) (Instance, int64, error) {
	return e.config.Handler.Load(ctx, instanceID(saga, id))
}

// because are the options of what a saga does for an event.
func because(e *eventstore.RecordedEvent, saga string) commands.Options {
	o := commands.CausedBy(e)
	o.Via = "saga " + saga
	return o
}

// KeyOf returns the key of a step, or its undoing, that has begun with a number, see Call.Key.
func KeyOf(saga, id string, number int64) string {
	return instanceID(saga, id) + "/" + strconv.FormatInt(number, 10)
}

func splitKey(key string) (saga, id string, number int64, ok bool) {
	slash := max(strings.LastIndexByte(key, '/'), 0)
	saga, id, ok = strings.Cut(key[:slash], "-")
	number, err := strconv.ParseInt(strings.TrimPrefix(key[slash:], "/"), 10, 64)
	return saga, id, number, ok && err == nil && number >= 0
}

// Because returns the options of what happens since a step, or its undoing, has begun with a key: the event that says so is its cause. They are
// empty if there is no such step.
func (e *Engine) Because(ctx context.Context, key string) (commands.Options, error) {
	saga, id, number, ok := splitKey(key)
	if !ok || len(e.sagas[saga]) == 0 {
		return commands.Options{}, nil
	}
	begun, err := e.config.Handler.Recorded(ctx, instanceID(saga, id), number)
	switch {
	case errors.Is(err, commands.ErrNoVersion):
		return commands.Options{}, nil
	case err != nil:
		return commands.Options{}, err
	}
	return because(&begun, saga), nil
}

// Trigger hands an event to the instance of a saga that it is about, if there is one: the handler of the subscription for them. An event that
// was handed over before changes nothing. Where versions differ in which instance it is about, or begins, each instance is told what its own version says.
func (e *Engine) Trigger(ctx context.Context, saga string, at *delivery.Event) error {
	value, err := e.config.Codec.Decode(at.RecordedEvent.Event)
	if err != nil {
		return err
	}
	var told []telling
	differ, begins := false, false
	for _, s := range e.sagas[saga] {
		in, id, err := s.InputOf(value, at.MessageID)
		if err != nil {
			return delivery.Permanent(err)
		}
		if in != nil {
			told = append(told, telling{s, id, in})
			differ = differ || id != told[0].id
			_, isBegin := in.(Begin)
			begins = begins || isBegin
		}
	}
	differ = differ || begins && len(told) < len(e.sagas[saga]) // one that it says nothing to does not begin with it
	for n, one := range told {
		switch {
		case differ:
			goesBy, err := e.versionOf(ctx, saga, one.id)
			if err != nil {
				return err
			}
			if goesBy != one.saga {
				continue
			}
		case n > 0:
			return nil
		}
		ctx := failpoint.About(ctx, one.id, at.Type)
		if err := failpoint.FailIn(ctx, failpoint.SagaTold); err != nil {
			return err
		}
		err = e.advance(ctx, saga, one.id, one.in, because(at.RecordedEvent, saga))
		switch {
		case errors.Is(err, errNotStarted), errors.Is(err, errFull):
			return delivery.Permanent(err)
		case err != nil:
			return err
		}
		if err := failpoint.FailIn(ctx, failpoint.SagaRecorded); err != nil {
			return err
		}
	}
	if len(told) == 0 && !slices.Contains(triggerTypes(e.config.Codec, saga, e.config.Sagas), at.Type) { // a definition of another program takes it
		return &NoVersionError{saga, 0}
	}
	return nil
}

// telling is what an event is to a version of a saga.
type telling struct {
	saga *Saga
	id   string
	in   Input
}

// versionOf returns the definition that the instance with an id goes by.
func (e *Engine) versionOf(ctx context.Context, saga, id string) (*Saga, error) {
	i, _, err := e.Load(ctx, saga, id)
	if err != nil {
		return nil, err
	}
	return e.of(saga, i)
}

// Answer answers a step that Ask has begun, by its key: with changes of the data, or with a failure if code is not empty. What comes of it has the
// step as its cause, if the options name none.
func (e *Engine) Answer(ctx context.Context, key string, changes map[string]json.RawMessage, code, reason string, o commands.Options) error {
	saga, id, n, ok := splitKey(key)
	if !ok {
		return &eventstore.InvalidError{Field: "key", Reason: "is not the key of a step"}
	}
	i, _, err := e.Load(ctx, saga, id)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(i.Steps, func(s Step) bool { return s.Number == n })
	if at < 0 {
		return fmt.Errorf("%w: it has no step with key %s", ErrOver, key)
	}
	var in Input = Complete{i.Steps[at].Name, n, changes}
	if code != "" {
		in = Fail{i.Steps[at].Name, n, code, reason, false}
	}
	why, err := e.Because(ctx, key)
	if err != nil {
		return err
	}
	_, err = e.Do(commands.WithCause(ctx, why), saga, id, in, o)
	return err
}
