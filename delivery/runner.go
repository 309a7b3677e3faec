package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/pgsession"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/projections"
)

// MinConnections is how many connections a Runner needs at once: for what it keeps, for moves, for attempts that it
// writes down, and for a transactional handler.
const MinConnections = 4

// TargetFactory makes the Target of a subscription from its definition. It is called again when the definition has
// changed. A Target that has a method Close() is closed after its last attempt. An error keeps this process from delivering for it.
type TargetFactory func(Definition) (Target, error)

// The kinds of targets that are not Go handlers: the members of TargetConfig.
const (
	KindSQL    = "sql"
	KindHTTP   = "http"
	KindAppend = "append"
	KindEmail  = "email"
	KindWindow = "window"
	// KindArchive is that of package archive.
	KindArchive = "archive"
	// KindWebhook is that of webhooks that are signed with a key of the service. Those that bring their secrets are of
	// KindHTTP.
	KindWebhook = "webhook"
	// KindGather is that of programs with sagas that link it.
	KindGather = "gather"
	// KindPull needs no member, as any process hands out its events: see Broker.
	KindPull = "pull"
)

// Config says what a Runner delivers, from where and to whom.
type Config struct {
	// Pool is the database of the subscriptions. Each partition whose target is transactional needs a
	// connection while it delivers, or waits for one: three are left to the rest. It must have MinConnections.
	Pool *pgxpool.Pool
	// Schema has the tables, made by package migrations. Default: recount.
	Schema string
	// App is the name of the program. It delivers the subscriptions that are its own. Required.
	App string
	// Store is the log. If it is an eventstore.Appender it gets what operators are to know, see Alert. Codec knows the types of
	// the events that handlers take.
	Store eventstore.Reader
	Codec *eventstore.Codec
	// Logger gets what changes about partitions and what fails for none in particular. Handlers get it by
	// zerolog.Ctx, with the name of their subscription. Default: none.
	Logger zerolog.Logger
	// Process names this process to operators. Default: host, process id and a random part.
	Process string
	// Subscriptions are those that the program declares. They are made when the Runner starts.
	Subscriptions []Subscription
	// Handlers are further Go handlers, for subscriptions that are made elsewhere.
	Handlers []*Handler
	// Targets make targets that are no Go handlers, by kind. Those of SQL functions are there, and those that
	// append and those of windows if Store is an eventstore.Appender.
	Targets map[string]TargetFactory
	// Asks makes what asks servers for what is to be beside events, see EnrichHTTP. Default: this process delivers no subscription that has such.
	Asks AskerFactory
	// Observe is told of each attempt when it has ended, on the goroutine that made it. Default: nobody is.
	Observe func(Observation)
}

const (
	// defaultTimeout and maxTimeout are how long an attempt may take.
	defaultTimeout = 30 * time.Second
	maxTimeout     = 15 * time.Minute
	// returnGrace is how much longer its function may take to return before it counts as stuck.
	returnGrace = 5 * time.Second
	// drainTime is how long one who gives a partition back waits for its attempts at most.
	drainTime = 30 * time.Second
	// asideTime is for how long a process leaves to others what it cannot read.
	asideTime = 5 * time.Minute
)

// Runner delivers: it shares the partitions of the subscriptions of its App with the other processes that
// have one.
type Runner struct {
	config  Config
	records *records
	// feed reads the log, changes what else is a source.
	feed    *feed
	changes map[ChangesSource]*feed
	// readers are those that read for feeds.
	readers  sync.WaitGroup
	handlers map[string]*Handler
	targets  map[string]TargetFactory
	lookups  lookups
	process  string
	// log is the log and the incarnation that the partitions here are of.
	log atomic.Pointer[eventstore.Token]

	service background.Service
	// wake lets the keeper look at once, moving lets the mover move soon, blocked at once, replays
	// lets who watches them look for more.
	wake, moving, blocked, replays chan struct{}
	// begun is the zero of deadline, which is when attempts must not begin any more, see mayBegin.
	begun    time.Time
	deadline atomic.Int64

	// work is what attempts go on in.
	work context.Context
	// heard: the database has said that something has changed. Asked: the keeper is to look.
	heard, asked atomic.Bool

	mu sync.Mutex
	// member is who this process is; ID 0: it is none.
	member member
	// alive are the members that deliver, this one too.
	alive []member
	// running are the subscriptions of which it has partitions, by id.
	running map[int64]*running
	// alone are subscriptions, and what they need, that no other process can run, with events that this one cannot read.
	alone map[int64]string

	attempts sync.WaitGroup
	// transactions has a place for each connection that attempts may have at once: the others are for what keeps the process
	// alive, however long handlers wait for each other.
	transactions chan struct{}
	attemptLog   attemptLog
	alerts       *alerts
	// dirty are partitions that may have something to move, stirred subscriptions of which some may have something to tell.
	dirty   handover[*partition]
	stirred handover[*running]
	counts  counts
}

// NewRunner returns a runner. If its subscriptions or handlers have mistakes the error says all of them.
func NewRunner(c Config) (*Runner, error) {
	if c.Pool == nil || c.Store == nil || c.Codec == nil || c.App == "" {
		return nil, errors.New("delivery.Config needs a Pool, a Store, a Codec and an App")
	}
	if n := c.Pool.Config().MaxConns; n < MinConnections {
		return nil, fmt.Errorf("delivery.Config.Pool has at most %d connections, it must have %d (MaxConns)", n, MinConnections)
	}
	c.Schema = cmp.Or(c.Schema, pgsql.DefaultSchema)
	c.Process = cmp.Or(c.Process, processName())
	r := &Runner{
		config: c, records: &records{pool: c.Pool, schema: c.Schema, app: c.App}, process: c.Process,
		feed: newFeed(c.Store, c.Logger), changes: make(map[ChangesSource]*feed),
		targets: map[string]TargetFactory{KindSQL: newSQLTarget(c.Schema)},
		wake:    make(chan struct{}, 1), moving: make(chan struct{}, 1), blocked: make(chan struct{}, 1),
		replays: make(chan struct{}, 1), begun: time.Now(),
		running: make(map[int64]*running), alone: make(map[int64]string),
	}
	r.lookups = lookups{projections.NewLookup(c.Pool, c.Schema), c.Asks}
	r.alerts = newAlerts(c.Store, c.Process, c.Logger)
	r.transactions = make(chan struct{}, c.Pool.Config().MaxConns-(MinConnections-1))
	if log, ok := c.Store.(eventstore.Appender); ok {
		r.targets[KindWindow] = func(d Definition) (Target, error) { return newWindowTarget(d, r.records, log), nil }
		r.targets[KindAppend] = func(d Definition) (Target, error) { return NewAppendTarget(*d.Target.Append, log) }
	}
	maps.Copy(r.targets, c.Targets)
	var err error
	r.handlers, err = handlersOf(c.Codec, c.Handlers, c.Subscriptions)
	return r, err
}

// processName names this process, for people.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), uuid.NewString()[:8])
}

// Process returns the name of this process, as the status of partitions has it.
func (r *Runner) Process() string { return r.process }

// Owns reports whether this process delivers a partition of a subscription. It may have lost it by the time that the caller looks: that is for
// work which several may do at once, but one is enough for.
func (r *Runner) Owns(subscription string, number int) bool {
	for _, s := range r.allRunning() {
		if s.name == subscription && slices.ContainsFunc(s.all(), func(p *partition) bool { return p.Partition == number }) {
			return true
		}
	}
	return false
}

// canRun returns what it can run, in the words of Definition.needs.
func (r *Runner) canRun() []string {
	var all []string
	for name, h := range r.handlers {
		needs := TargetConfig{Handler: &HandlerTarget{Name: name}}.needs()
		if all = append(all, needs, needsEnriched+needs); h.raw {
			all = append(all, needsPrepared+needs)
		}
	}
	for kind := range r.targets {
		all = append(all, kind, needsPrepared+kind, needsEnriched+kind)
	}
	if r.lookups.asks != nil {
		for _, needs := range all {
			if of, ok := strings.CutPrefix(needs, needsEnriched); ok {
				all = append(all, needsAsking+of)
			}
		}
	}
	slices.Sort(all)
	return all
}

// Start makes the subscriptions that are declared and not there, begins to deliver in the background and
// returns. It goes on until Stop, or until ctx is done.
//
// One that is there stays as it is, but for what the program says of it now: that is a change as by Admin.Put, where its
// start is not looked at.
func (r *Runner) Start(ctx context.Context) error {
	return r.service.Start(ctx, func(ctx context.Context) ([]background.Task, error) {
		if err := pgsession.Check(ctx, r.config.Pool); err != nil {
			return nil, err
		}
		if err := r.declare(ctx); err != nil {
			return nil, err
		}
		return []background.Task{r.run}, nil
	})
}

// Stop lets attempts end, gives all partitions back and waits. If ctx ends before that they are cut off: what
// they did comes again; and the error is ctx's. It may be called more than once, also before Start.
func (r *Runner) Stop(ctx context.Context) error { return r.service.Stop(ctx) }

// Stopped is closed when it delivers no more, after Stop or after the end of Start's ctx.
func (r *Runner) Stopped() <-chan struct{} { return r.service.Stopped() }

// run does everything, each part on its own goroutine.
func (r *Runner) run(soft, hard context.Context) {
	// The feed and the mover go on until all partitions are given back.
	working, done := context.WithCancel(hard)
	r.work = working
	var parts sync.WaitGroup
	r.follow(r.feed)
	parts.Go(func() { r.moveLoop(working) })
	parts.Go(func() { r.sweepLoop(working) })
	parts.Go(func() { r.alerts.run(working) })
	parts.Go(func() { r.watchReplays(soft) })
	closeTargets := r.keep(soft, hard)
	done()
	parts.Wait()
	r.readers.Wait()
	if r.mayBegin(time.Now()) { // else the database does not answer
		r.alerts.flush(hard)
	}
	if r.waitForAttempts() {
		closeTargets()
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(hard), renewInterval)
	defer cancel()
	if err := r.writeAttempts(last); err != nil {
		r.config.Logger.Warn().Err(err).Msg("the last attempts are not written down")
	}
}

// waitForAttempts waits until all have returned, whose contexts have ended, and reports whether they have: it does not wait for
// ever.
func (r *Runner) waitForAttempts() bool {
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		r.attempts.Wait()
	}()
	timer := time.NewTimer(returnGrace)
	defer timer.Stop()
	select {
	case <-returned:
		return true
	case <-timer.C:
		r.config.Logger.Error().Msg("handlers do not return though their time is over: they are left behind")
		return false
	}
}

// mayBegin reports whether attempts may begin: not when the process may have been taken for dead, as after it was
// frozen, until it has heard that it was not.
func (r *Runner) mayBegin(now time.Time) bool {
	return int64(now.Sub(r.begun)) < r.deadline.Load()
}

// renewed says when a renewal began that succeeded.
func (r *Runner) renewed(at time.Time) {
	r.deadline.Store(int64(at.Sub(r.begun) + memberTTL - time.Second))
}
