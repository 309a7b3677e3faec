package app

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/sagas"
)

// Commands runs the commands of an App on a store, whichever that is. It is safe for concurrent use
// and has nothing to close.
type Commands struct {
	app        App
	codec      *eventstore.Codec
	byCategory map[string]bound
	units      *commands.Units
	engine     *sagas.Engine
	sources    []commands.SnapshotSource
}

// CommandsConfig says how Commands work. The zero value works.
type CommandsConfig struct {
	// Snapshots are where loading a stream begins, of the aggregates that have snapshots. Default:
	// none.
	Snapshots commands.SnapshotStore
	// SnapshotEvery is how many events of a stream there are from one snapshot to the next, by
	// category;
	// 0: none. Default, for those that are not named: what their aggregate says.
	SnapshotEvery map[string]int
	// Logger gets warnings about snapshots that are of no use. Default: none.
	Logger zerolog.Logger
	// Observe is told of every command that was run, by many goroutines at once. Default: nobody.
	Observe func(commands.Observation)
	// SagaFailed is told of steps of sagas that have failed for a mistake in the program. Default: nobody is.
	SagaFailed func(sagas.Mistake)
	// Now is the clock of sagas. Default: time.Now.
	Now func() time.Time
	// AllowTargets are networks that steps of sagas by HTTP may connect to although they are not public. Default: none.
	AllowTargets []netip.Prefix
}

// NewCommands returns what runs the commands of an App on a store.
func NewCommands(a App, store eventstore.Store, c CommandsConfig) (*Commands, error) {
	if err := c.check(a); err != nil {
		return nil, err
	}
	codec, err := a.Codec()
	if err != nil {
		return nil, err
	}
	all := &Commands{app: a, codec: codec, byCategory: make(map[string]bound)}
	for _, aggregate := range a.aggregates() {
		config := commands.Config{Logger: c.Logger, Observe: c.Observe}
		every := c.every(aggregate)
		if every > 0 {
			config.Snapshots = commands.SnapshotConfig{Store: c.Snapshots, Every: every}
		}
		b, err := aggregate.bind(store, codec, config)
		if err != nil {
			return nil, err
		}
		all.byCategory[aggregate.Category()] = b
		if every > 0 {
			all.sources = append(all.sources, b.source())
		}
	}
	if len(a.units()) > 0 || len(a.Sagas()) > 0 {
		if all.units, err = commands.NewUnits(store, commands.UnitConfig{Observe: c.Observe}); err != nil {
			return nil, err
		}
	}
	all.engine, err = all.newEngine(c)
	return all, err
}

func (c CommandsConfig) check(a App) error {
	for category, n := range c.SnapshotEvery {
		switch {
		case !slices.Contains(a.Categories(), category):
			return &eventstore.InvalidError{Field: "snapshots",
				Reason: fmt.Sprintf("are for %s, not for %q", inWords(a.Categories()), category)}
		case n < 0:
			return &eventstore.InvalidError{Field: "snapshots", Reason: fmt.Sprintf("of %s cannot be every %d events; 0 is for none", category, n)}
		}
	}
	return nil
}

// inWords lists names: a, b and c.
func inWords(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func (c CommandsConfig) every(a Aggregate) int {
	if n, ok := c.SnapshotEvery[a.Category()]; ok {
		return n
	}
	return a.snapshotEvery()
}

// Do runs a command by its name, "category.command" or that of a unit, which has no id, as this
// program's own code does: internal ones too. Fields with a tag of Do are filled in as from a request:
// the id, or a new one if that is empty, the time if it is zero, and o.Actor. Errors are those of
// commands.Handler.Handle; a name or a type that there is not is an *eventstore.InvalidError.
func (c *Commands) Do(ctx context.Context, name, id string, command any, o commands.Options) (commands.Result, error) {
	for _, unit := range c.app.units() {
		if unit.spec.name == name {
			if reflect.TypeOf(command) != unit.spec.command {
				return commands.Result{}, wrongCommand(name, unit.spec, command)
			}
			command, _ = unit.spec.completed(command, "", &o)
			return unit.do(ctx, c, command, o)
		}
	}
	b, verb, err := c.find(name)
	if err != nil {
		return commands.Result{}, err
	}
	return b.command(ctx, verb, id, command, o)
}

func wrongCommand(name string, s commandSpec, command any) error {
	return &eventstore.InvalidError{Field: "command", Reason: fmt.Sprintf("%s is a %v, not a %T", name, s.command, command)}
}

// State returns the state that commands on a stream decide from, as of a moment, and its version:
// -1 if the stream did not exist then. A stream of no aggregate is an *eventstore.InvalidError.
// Other errors are those of commands.Handler.LoadAt.
func (c *Commands) State(ctx context.Context, stream string, at commands.Moment) (state any, version int64, err error) {
	b, ok := c.byCategory[eventstore.Category(stream)]
	if !ok {
		return nil, -1, &eventstore.InvalidError{Field: "stream", Reason: fmt.Sprintf("must be of category %s to have a state, it is of %q",
			strings.ReplaceAll(inWords(c.app.Categories()), " and ", " or "), eventstore.Category(stream))}
	}
	return b.state(ctx, eventstore.StreamID(stream), at)
}

// Codec is that of the App's events.
func (c *Commands) Codec() *eventstore.Codec { return c.codec }

// SnapshotSources are what makes the snapshots of the aggregates that have them.
func (c *Commands) SnapshotSources() []commands.SnapshotSource { return c.sources }
