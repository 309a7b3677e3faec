package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/internal/pgsession"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/operations"
)

// Config says where a Runner reads and writes.
type Config struct {
	// Pool is the database with the rows. It should have a connection for each projection, and must
	// have MinConnections.
	Pool *pgxpool.Pool
	// Schema has the tables, made by package migrations. Default: recount.
	Schema string
	// App is the name of the program, which owns its projections in the database: Start and Run refuse
	// a log that other Apps have, and projections of theirs, see Admin.Enter and Admin.Join. Default:
	// none, a program that looks at no owner and is none.
	App string
	// Store is the log to follow.
	Store eventstore.Reader
	// Codec knows the types of the events that the projections handle.
	Codec *eventstore.Codec
	// Categories are the program's own stream categories: what it does not know of them it must not
	// pass over. Default: those in which the log has an event of a type that Codec knows.
	Categories []string
	// IgnoreTypes are the names of event types that are in those categories, that Codec does not know
	// and that no projection needs.
	IgnoreTypes []string
	// Logger gets what changes about a projection. Default: none.
	Logger zerolog.Logger
	// Hints has the words for the reasons of failures. Default: none.
	Hints operations.Hints
	// BatchSize is how many events are applied in one transaction; an append is never split, so
	// there may be more. Default: 1000.
	BatchSize int
	// LeaseTTL is how long a projection stays with a process that does not move any more. It is
	// renewed at a third of it. Default: 3s. From 100ms to 1m.
	LeaseTTL time.Duration
	// PollInterval is how often a process looks whether it can take over a projection that it
	// does not run: because another process does, or it is paused, or has failed.
	// Default: 500ms.
	PollInterval time.Duration
	// BulkFrom is from how many events in the log on a fold that has no rows yet is built by a
	// rebuild, in parallel, instead of event after event. Default: 10,000. Negative: never.
	BulkFrom int64
	// DropUnusedAfter is for how long nobody has run a version of a projection whose rows are removed,
	// unless the view shows them. Default: they stay, see Admin.Drop.
	DropUnusedAfter time.Duration
	// BuildOnCommand leaves it to an operator to rebuild a projection that has rows, but none of
	// this version; until then reads of it fail. Default: false, Start sees to it.
	BuildOnCommand bool
}

// MinConnections is how many connections a Runner may need at once: a rebuild that puts its rows in
// place holds the others where they are on one, while it applies on another what came meanwhile;
// and one that makes an index says meanwhile that it is at it.
const MinConnections = 2

func (c *Config) setDefaults() error {
	if c.Pool == nil || c.Store == nil || c.Codec == nil {
		return errors.New("projections.Config needs a Pool, a Store and a Codec")
	}
	if n := c.Pool.Config().MaxConns; n < MinConnections {
		return fmt.Errorf("projections.Config.Pool has at most %d connection, it must have %d (MaxConns)", n, MinConnections)
	}
	if c.Schema == "" {
		c.Schema = pgsql.DefaultSchema
	}
	if c.BatchSize <= 0 {
		c.BatchSize = eventstore.DefaultPageSize
	}
	if c.LeaseTTL == 0 {
		c.LeaseTTL = 3 * time.Second
	}
	if c.LeaseTTL < 100*time.Millisecond || c.LeaseTTL > lease.MaxTTL {
		return fmt.Errorf("projections.Config.LeaseTTL is %s, it must be from 100ms to %s", c.LeaseTTL, lease.MaxTTL)
	}
	if c.PollInterval <= 0 {
		c.PollInterval = 500 * time.Millisecond
	}
	switch {
	case c.BulkFrom == 0:
		c.BulkFrom = 10_000
	case c.BulkFrom < 0:
		c.BulkFrom = math.MaxInt64
	}
	return nil
}

// Runner keeps projections up to date, each on its own, for as long as it runs.
type Runner struct {
	config  Config
	catalog *catalog
	owner   string
	workers []*worker
	knows   *vocabulary
	// unreadable are operations that need a program which can read more than this one.
	unreadable sync.Map
	service    background.Service
	// wake ends the wait for operations.
	wake chan struct{}
	// switching is held by the operation that switches.
	switching sync.Mutex
}

// NewRunner returns a runner for the given projections. If they have mistakes (names, types,
// missing event types, …) the error is an *InvalidError that says all of them.
func NewRunner(c Config, projections ...Projection) (*Runner, error) {
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	r := &Runner{
		config:  c,
		catalog: newCatalog(c.Pool, c.Schema, c.Hints),
		owner:   ownerName(),
		wake:    make(chan struct{}, 1),
		knows:   newVocabulary(c.Store, c.Codec, c.IgnoreTypes, c.Categories),
	}
	r.catalog.app = c.App
	prepared, err := prepareAll(c.Codec, projections)
	if err != nil {
		return nil, err
	}
	for i, p := range projections {
		r.workers = append(r.workers, newWorker(r, p, prepared[i]))
	}
	return r, nil
}

// Check returns an *InvalidError of all that is wrong with projections of the events that a codec
// knows, as NewRunner does, without a database.
func Check(codec *eventstore.Codec, projections ...Projection) error {
	_, err := prepareAll(codec, projections)
	return err
}

func prepareAll(codec *eventstore.Codec, projections []Projection) ([]projector, error) {
	var prepared []projector
	var mistakes []error
	seen := make(map[string]bool)
	for _, p := range projections {
		runs, errs := p.prepare(codec)
		if seen[p.Name()] {
			errs = append(errs, errors.New("there are two of that name"))
		}
		seen[p.Name()] = true
		for _, err := range errs {
			if err != nil {
				mistakes = append(mistakes, fmt.Errorf("projection %q: %w", p.Name(), err))
			}
		}
		prepared = append(prepared, runs)
	}
	if len(mistakes) > 0 {
		return nil, &InvalidError{Mistakes: mistakes}
	}
	return prepared, nil
}

// ownerName names this process and runner, for people and for the lease.
func ownerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), uuid.NewString()[:8])
}

// enter is Admin.Enter.
func (r *Runner) enter(ctx context.Context) error {
	names, _ := r.known()
	return r.catalog.enter(ctx, false, names)
}

// known returns the names and versions of the projections.
func (r *Runner) known() (names []string, versions []int) {
	for _, w := range r.workers {
		names, versions = append(names, w.projection.Name()), append(versions, w.projection.Version())
	}
	return names, versions
}

// Owner returns the name of this runner, as Status has it.
func (r *Runner) Owner() string { return r.owner }

// Start makes the tables that are missing, starts to run the projections in the background and
// returns. They run until Stop, or until ctx is done.
//
// Errors, with nothing started: *UnknownTypesError, *AppError, *DefinitionChangedError,
// *NameTakenError, those of the database.
//
// What a newer program writes meanwhile, of a type or in a schema version that Codec does not know,
// ends at that very event what this one does for a projection: it stands aside, and a newer one
// goes on. The same for what a newer program has written before this one came back: events of
// unknown types are no
// *UnknownTypesError where the rows of all projections are there already.
func (r *Runner) Start(ctx context.Context) error {
	return r.service.Start(ctx, func(ctx context.Context) ([]background.Task, error) {
		if err := cmp.Or(pgsession.Check(ctx, r.config.Pool), r.checkTypes(ctx)); err != nil {
			return nil, err
		}
		if err := r.enter(ctx); err != nil {
			return nil, err
		}
		tasks := []background.Task{r.operate, r.hearReleases}
		for _, w := range r.workers {
			var err error
			if w.generation, err = r.catalog.ensure(ctx, r.config, w.projection, w.runs); err != nil {
				return nil, err
			}
			tasks = append(tasks, w.run)
		}
		return tasks, nil
	})
}

// checkTypes returns *UnknownTypesError for a log with events that rows would be made without.
func (r *Runner) checkTypes(ctx context.Context) error {
	unknown := r.knows.check(ctx)
	if !errors.As(unknown, new(*UnknownTypesError)) {
		return unknown
	}
	for _, w := range r.workers {
		if _, err := r.catalog.serving(ctx, r.config.Pool, w.projection, w.runs); err != nil {
			return unknown
		}
	}
	r.config.Logger.Warn().Err(unknown).Msg("a newer program has written to the log, this one stands aside where it has to")
	return nil
}

// hearReleases begins to run what another process has given back, where the store hears of it.
func (r *Runner) hearReleases(soft, _ context.Context) {
	store, ok := r.config.Store.(interface {
		OnLeaseReleased(told func(of string)) (stop func())
	})
	if !ok {
		return
	}
	defer store.OnLeaseReleased(func(of string) {
		if strings.HasPrefix(of, changesPrefix) {
			return
		}
		known := false
		for _, w := range r.workers {
			if of == "" || of == w.projection.Name() {
				known = true
				background.Wake(w.wake)
			}
		}
		if of == "" || !known {
			background.Wake(r.wake)
		}
	})()
	<-soft.Done()
}

// Stop lets the projections finish what they are writing, gives their leases back and waits. If ctx
// ends before that they are cut off, which loses nothing, and the error is ctx's. It may be called
// more than once, also before Start.
func (r *Runner) Stop(ctx context.Context) error { return r.service.Stop(ctx) }

// Stopped is closed when all projections have ended after Stop, or after the end of Start's ctx.
func (r *Runner) Stopped() <-chan struct{} { return r.service.Stopped() }

// WaitFor waits until this process has taken a projection to a place in the log, or ctx ends, and
// returns the place that it is at. It returns at once if want is of another log, and, with here
// false, if another process runs the projection, or none.
func (r *Runner) WaitFor(ctx context.Context, projection string, want eventstore.Token) (at eventstore.Token, here bool) {
	for _, w := range r.workers {
		if w.projection.Name() == projection {
			return w.progress.wait(ctx, want)
		}
	}
	return eventstore.Token{}, false
}
