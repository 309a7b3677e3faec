package app

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/sagas"
)

// Aggregate is a kind of stream, with its state, events and commands: what NewAggregate returns.
type Aggregate interface {
	// Category is that of the streams: the stream of id 42 in category "order" is "order-42".
	Category() string

	eventTypes() []eventstore.Type
	// mistakes are those of Check.
	mistakes() []error
	// commandSpecs are the commands, with their names in the aggregate.
	commandSpecs() []commandSpec
	// snapshotEvery is how many events there are from one snapshot to the next; 0: there are none.
	snapshotEvery() int
	bind(store eventstore.Store, codec *eventstore.Codec, c commands.Config) (bound, error)
	// unbound has the routes, and no store.
	unbound() bound
}

// AggregateOf is an aggregate with state S and events E. Its methods return another one and leave
// it as it is.
type AggregateOf[S any, E commands.Event[S]] struct {
	category string
	path     resourcePath
	events   []EventOf[S]
	commands []CommandOf[S, E]
	every    int
	version  int
}

// NewAggregate returns an aggregate with streams of a category, whose commands are below a path: a
// command that creates a stream at POST {path}, others at POST {path}/{id}/{name}. A path may end
// with a variable, as in /v1/stock/{sku}, which then stands for the id.
func NewAggregate[S any, E commands.Event[S]](category, path string) *AggregateOf[S, E] {
	return &AggregateOf[S, E]{category: category, path: newResourcePath(path)}
}

// Events adds events.
func (a *AggregateOf[S, E]) Events(events ...EventOf[S]) *AggregateOf[S, E] {
	next := *a
	next.events = append(next.events[:len(next.events):len(next.events)], events...)
	return &next
}

// Commands adds commands.
func (a *AggregateOf[S, E]) Commands(commands ...CommandOf[S, E]) *AggregateOf[S, E] {
	next := *a
	next.commands = append(next.commands[:len(next.commands):len(next.commands)], commands...)
	return &next
}

// Snapshots says that loading a stream begins with a snapshot, made after so many events. Version
// is that of the state: it is raised with every change of S, or of what events do to it.
func (a *AggregateOf[S, E]) Snapshots(every, version int) *AggregateOf[S, E] {
	next := *a
	next.every, next.version = every, version
	return &next
}

// Category implements Aggregate.
func (a *AggregateOf[S, E]) Category() string { return a.category }

func (a *AggregateOf[S, E]) snapshotEvery() int { return a.every }

func (a *AggregateOf[S, E]) eventTypes() (all []eventstore.Type) {
	for _, e := range a.events {
		all = append(all, e.registered)
	}
	return all
}

func (a *AggregateOf[S, E]) commandSpecs() (all []commandSpec) {
	for _, c := range a.commands {
		all = append(all, c.spec)
	}
	return all
}

func (a *AggregateOf[S, E]) mistakes() (all []error) {
	fail := func(format string, args ...any) {
		all = append(all, fmt.Errorf("app: aggregate %q: "+format, append([]any{a.category}, args...)...))
	}
	if a.category == "" || strings.ContainsAny(a.category, "-$") || eventstore.ValidateStream(a.category) != nil {
		fail("a category is the name of a stream up to its first '-', and does not begin with '$'")
	}
	if len(a.events) == 0 {
		fail("it has no events")
	}
	of := reflect.TypeFor[E]()
	for _, e := range a.events {
		if !e.goType.AssignableTo(of) {
			fail("%v is not one of its events, which are %v", e.goType, of)
		}
	}
	if a.every < 0 || a.every > 0 && a.version < 1 {
		fail("snapshots need a version from 1, and a number of events that is not negative")
	}
	names := make(map[string]bool)
	for _, c := range a.commands {
		if names[c.spec.name] {
			fail("two commands are called %q", c.spec.name)
		}
		names[c.spec.name] = true
		all = append(all, c.spec.mistakes()...)
	}
	return all
}

func (a *AggregateOf[S, E]) bind(store eventstore.Store, codec *eventstore.Codec, c commands.Config) (bound, error) {
	c.Category = a.category
	c.Snapshots.SchemaVersion = a.version
	h, err := commands.NewHandler[S, E](store, codec, c)
	if err != nil {
		return nil, fmt.Errorf("aggregate %q: %w", a.category, err)
	}
	return &boundAggregate[S, E]{a, h}, nil
}

func (a *AggregateOf[S, E]) unbound() bound { return &boundAggregate[S, E]{of: a} }

// EventOf is an event of the aggregates with state S.
type EventOf[S any] struct {
	registered eventstore.Type
	goType     reflect.Type
}

// Event says that values of T are events with a name in the log and a schema version, from 1.
// Options are those of eventstore.TypeOf.
func Event[T commands.Event[S], S any](name string, version int, options ...eventstore.TypeOption) EventOf[S] {
	return EventOf[S]{eventstore.TypeOf[T](name, version, options...), reflect.TypeFor[T]()}
}

// bound is an aggregate on a store.
type bound interface {
	// command runs a command by its name in the aggregate.
	command(ctx context.Context, name, id string, c any, o commands.Options) (commands.Result, error)
	// decide decides a command of a saga, by its name in the aggregate, as a part of a unit, at a time. The error is its refusal.
	decide(tx *commands.Unit, name string, of sagas.Command, now time.Time) error
	// state is the state of a stream at a moment, and its version.
	state(ctx context.Context, id string, at commands.Moment) (any, int64, error)
	source() commands.SnapshotSource
	// register adds the routes of the commands.
	register(*httpapi.API)
}

type boundAggregate[S any, E commands.Event[S]] struct {
	of      *AggregateOf[S, E]
	handler *commands.Handler[S, E]
}

func (b *boundAggregate[S, E]) command(ctx context.Context, name, id string, value any, o commands.Options) (commands.Result, error) {
	for _, c := range b.of.commands {
		if c.spec.name != name {
			continue
		}
		if reflect.TypeOf(value) != c.spec.command {
			return commands.Result{}, wrongCommand(b.of.category+"."+name, c.spec, value)
		}
		value, id = c.spec.completed(value, id, &o)
		return b.handler.Handle(ctx, id, value.(commands.Command[S, E]), o)
	}
	return commands.Result{}, &eventstore.InvalidError{Field: "command", Reason: fmt.Sprintf("%q is none of %s", name, b.of.category)}
}

func (b *boundAggregate[S, E]) state(ctx context.Context, id string, at commands.Moment) (any, int64, error) {
	return b.handler.LoadAt(ctx, id, at)
}

func (b *boundAggregate[S, E]) source() commands.SnapshotSource { return b.handler.SnapshotSource() }

func (b *boundAggregate[S, E]) register(a *httpapi.API) {
	for _, c := range b.of.commands {
		c.spec.register(a, b.of.category, b.of.path, func(ctx context.Context, r *Request, command any) (commands.Result, error) {
			return b.handler.Handle(ctx, r.ID, command.(commands.Command[S, E]), *r.options)
		})
	}
}
