package delivery

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	"github.com/57528e99/recount/operations"
)

// Bounds of what callers of a Broker may ask for.
const (
	// MaxPull is how many events a caller gets at once, and how many tokens it names at once, at most.
	MaxPull = 1000
	// MaxPullWait is how long one waits at most.
	MaxPullWait = 20 * time.Second
	// maxPullBytes is how many bytes of data and metadata one gets at once, one event that is larger aside.
	maxPullBytes = 16 << 20
)

var (
	// ErrNotPulled is returned for a subscription that has another target than pull.
	ErrNotPulled = eventstore.NewError(eventstore.ClassConflict, "the subscription is not pulled")
	// ErrOvertaken is what a token is that another caller has overtaken: see TokenOvertaken.
	ErrOvertaken = eventstore.NewError(eventstore.ClassConflict, "the token was overtaken")

	errBrokerStopped = eventstore.NewError(eventstore.ClassClosed, "events are not handed out: the process stops")
)

// PullOptions are the choices of Pull.
type PullOptions struct {
	// Max is how many events at most, from 1 to MaxPull. Default: 1.
	Max int
	// Wait is how long to wait for the first, at most MaxPullWait. Default: not at all.
	Wait time.Duration
	// Lease is for how long they are the caller's, from 1 s to 15 minutes. Default: as the definition says.
	Lease time.Duration
}

func (o *PullOptions) check() error {
	o.Max = cmp.Or(o.Max, 1)
	switch {
	case o.Max < 1 || o.Max > MaxPull:
		return operations.InvalidOption("max", "is %d, it must be from 1 to %d", o.Max, MaxPull)
	case o.Wait < 0 || o.Wait > MaxPullWait:
		return operations.InvalidOption("wait", "is %s, it must be from 0s to %s", Duration(o.Wait), MaxPullWait)
	case o.Lease != 0 && (o.Lease < time.Second || o.Lease > maxLease):
		return operations.InvalidOption("lease", "is %s, it must be from 1s to %s", Duration(o.Lease), Duration(maxLease))
	}
	return nil
}

// Pulled is an event in the hands of a caller.
type Pulled struct {
	// Token names it in Ack, Nack and Extend.
	Token string
	// Deadline is until when it is the caller's alone, by the clock of the database.
	Deadline time.Time
	// Event has the number of the attempt.
	Event Event
}

// NackOptions say why events were not done, and when they are to be tried again.
type NackOptions struct {
	// Delay is until when, at most 24 h. Nil: as the retry of the definition says; 0: at once.
	Delay *time.Duration
	// Error is why, for operators: at most 4 KiB are kept.
	Error string
	// Permanent makes dead letters of them at once.
	Permanent bool
}

// TokenResult is what became of a token in Ack, Nack or Extend.
type TokenResult struct {
	Token   string
	Outcome TokenOutcome
	// Dead says that the event is a dead letter now.
	Dead bool
	// Deadline is the new one, after Extend.
	Deadline time.Time
}

// TokenOutcome is what became of a token.
type TokenOutcome string

const (
	// TokenSettled: it was done.
	TokenSettled TokenOutcome = "settled"
	// TokenOvertaken: the event is not the caller's any more, for its lease ran out and another has it, or has had it, or for it
	// was given back. Nothing was done: it will be tried again.
	TokenOvertaken TokenOutcome = "overtaken"
	// TokenGone: nobody waits for it, since it was acknowledged before, by this token or another, or was forgotten.
	TokenGone TokenOutcome = "gone"
)

// BrokerConfig says what a Broker hands out, and from where.
type BrokerConfig struct {
	// Pool is the database, of which a Broker uses four connections at most, Schema has the tables. Default: recount.
	Pool   *pgxpool.Pool
	Schema string
	// App is whose subscriptions they are; empty: everybody's.
	App string
	// Store is the log.
	Store eventstore.Reader
	// Logger gets what fails for no caller in particular. Default: none.
	Logger zerolog.Logger
	// Process names this process in attempts. Default: host, process id and a random part.
	Process string
	// Observe is told what became of events that were handed out. Default: nobody is.
	Observe func(Observation)
}

// Broker hands the events of subscriptions that are pulled to callers who compete for them. Any number of processes have one for
// the same subscriptions, and any of them takes the token of another.
//
// An event is one caller's alone for the time of its lease. Then, or when the caller says that it failed, it is tried again,
// until it is acknowledged or a dead letter. Events of a key are handed out in order, the next when the one before is
// acknowledged, or dead.
type Broker struct {
	config  BrokerConfig
	records *records
	admin   *Admin
	service background.Service
	// every is how often a queue looks for what others have freed, and for what is due.
	every time.Duration
	// slots bound how many connections are used at once.
	slots chan struct{}
	// ending: nobody waits any more.
	ending atomic.Bool
	// follow lets the head be followed, once somebody pulls.
	follow     chan struct{}
	followOnce sync.Once
	head       atomic.Pointer[eventstore.Token]

	mu      sync.Mutex
	queues  map[string]*pullQueue
	soft    context.Context // nil: it was not started
	hard    context.Context
	running sync.WaitGroup
}

// NewBroker returns a Broker that is not started.
func NewBroker(c BrokerConfig) (*Broker, error) {
	if c.Pool == nil || c.Store == nil {
		return nil, errors.New("delivery.BrokerConfig needs a Pool and a Store")
	}
	if c.Schema == "" {
		c.Schema = pgsql.DefaultSchema
	}
	if c.Process == "" {
		c.Process = processName()
	}
	r := &records{pool: c.Pool, schema: c.Schema, app: c.App}
	return &Broker{config: c, records: r, admin: &Admin{records: r, log: c.Store}, every: pullSweepInterval, slots: make(chan struct{}, 4), follow: make(chan struct{}),
		queues: make(map[string]*pullQueue)}, nil
}

// Start lets it hand out events, until Stop or until ctx is done.
func (b *Broker) Start(ctx context.Context) error {
	return b.service.Start(ctx, func(ctx context.Context) ([]background.Task, error) {
		if err := pgsession.Check(ctx, b.config.Pool); err != nil {
			return nil, err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		var stop, abort context.CancelFunc
		b.soft, stop = context.WithCancel(context.WithoutCancel(ctx))
		b.hard, abort = context.WithCancel(context.WithoutCancel(ctx))
		return []background.Task{func(soft, hard context.Context) {
			defer context.AfterFunc(hard, abort)()
			b.followHead(soft)
			b.mu.Lock()
			stop() // under mu: no queue begins from here on
			b.mu.Unlock()
			b.running.Wait()
			abort()
		}}, nil
	})
}

// EndWaits answers all who wait, with what there is, and lets nobody wait from then on: the process is about to stop.
func (b *Broker) EndWaits() {
	b.ending.Store(true)
	b.wakeAll()
}

// Stop answers those who wait, and waits until nothing goes on. If ctx ends before that the error is ctx's. It may be called
// more than once, also before Start.
func (b *Broker) Stop(ctx context.Context) error {
	b.EndWaits()
	return b.service.Stop(ctx)
}

func (b *Broker) wakeAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.queues {
		background.Wake(q.wake)
	}
}

// followHead knows the end of the log from when somebody pulls on, until ctx is done.
func (b *Broker) followHead(ctx context.Context) {
	select {
	case <-b.follow:
	case <-ctx.Done():
		return
	}
	loop := background.Loop{Failed: func(err error, pause time.Duration) {
		b.config.Logger.Warn().Err(err).Dur("pause", pause).Msg("reading the end of the log was interrupted")
	}}
	_ = loop.Run(ctx, func(ctx context.Context) (background.Next, error) {
		head, err := b.config.Store.Head(ctx)
		if err != nil {
			return background.Idle, err
		}
		b.head.Store(&head)
		b.wakeAll()
		// Nothing of it is looked at but where it ends.
		for batch, err := range b.config.Store.Subscribe(ctx, eventstore.ReadOptions{After: head, PageSize: feedPage}) {
			if err != nil {
				return background.Idle, err
			}
			b.head.Store(new(batch.Token()))
			b.wakeAll()
		}
		return background.Again, ctx.Err()
	})
}

// queue returns the queue of a subscription.
func (b *Broker) queue(ctx context.Context, name string) (*pullQueue, error) {
	b.mu.Lock()
	q, soft := b.queues[name], b.soft
	b.mu.Unlock()
	switch {
	case soft == nil || soft.Err() != nil:
		return nil, errBrokerStopped
	case q != nil:
		return q, nil
	}
	s, err := b.records.find(ctx, b.config.Pool, name, "")
	switch {
	case err != nil:
		return nil, err
	case s.definition.Target.Pull == nil:
		return nil, ErrNotPulled
	}
	q, err = newPullQueue(b, s)
	if err != nil {
		return nil, err
	}
	b.followOnce.Do(func() { close(b.follow) })
	b.mu.Lock()
	defer b.mu.Unlock()
	if other := b.queues[name]; other != nil {
		return other, nil
	}
	b.queues[name] = q
	return q, nil
}

// forget removes a queue whose subscription was deleted.
func (b *Broker) forget(q *pullQueue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.queues, func(_ string, other *pullQueue) bool { return other == q })
}

// inQueue does something with the queue of a subscription, and once more if that was deleted meanwhile and another has its
// name.
func (b *Broker) inQueue(ctx context.Context, name string, do func(*pullQueue) error) error {
	for try := 1; ; try++ {
		q, err := b.queue(ctx, name)
		if err == nil {
			err = do(q)
		}
		if !errors.Is(err, errQueueGone) || try == 3 {
			return err
		}
	}
}

// Pull returns events that the caller has for the time of a lease, in order of position; none if there were none within the time
// to wait. It returns at once if there are some, though they are less than Max. What it returns is tried again by others if it is
// not acknowledged in time.
//
// Errors: ErrNotFound, ErrAnotherApp, ErrNotPulled; operations.ErrInvalid for options out of their bounds.
func (b *Broker) Pull(ctx context.Context, name string, o PullOptions) ([]Pulled, error) {
	events, err := []Pulled(nil), o.check()
	if err == nil {
		err = b.inQueue(ctx, name, func(q *pullQueue) (err error) {
			events, err = q.pull(ctx, o)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("pull from subscription %q: %w", name, err)
	}
	return events, nil
}

// Ack says that events are done. The results are in the order of the tokens, of which there may be MaxPull.
//
// Errors: those of Pull. A token that was overtaken is none: see TokenResult.
func (b *Broker) Ack(ctx context.Context, name string, tokens ...string) ([]TokenResult, error) {
	return b.settle(ctx, "acknowledge events of", name, tokens, pullItem{op: opAck})
}

// Nack says that events are not done. Whether that counts against them is told from whether events of other keys are
// acknowledged meanwhile: consumers that are all in trouble make no dead letters, unless they say that it is permanent.
func (b *Broker) Nack(ctx context.Context, name string, o NackOptions, tokens ...string) ([]TokenResult, error) {
	if o.Delay != nil && (*o.Delay < 0 || *o.Delay > maxDelay) {
		return nil, fmt.Errorf("give back events of subscription %q: %w", name,
			operations.InvalidOption("delay", "is %s, it must be from 0s to %s", Duration(*o.Delay), Duration(maxDelay)))
	}
	if o.Error = operations.SanitizeText(o.Error); o.Error == "" {
		o.Error = "a consumer gave it back, and did not say why"
	}
	return b.settle(ctx, "give back events of", name, tokens, pullItem{op: opNack, nack: o})
}

// Extend lets the caller have events for so much longer from now on, from 1 s to 15 minutes; 0: for as long as the definition
// says.
func (b *Broker) Extend(ctx context.Context, name string, lease time.Duration, tokens ...string) ([]TokenResult, error) {
	if lease != 0 && (lease < time.Second || lease > maxLease) {
		return nil, fmt.Errorf("extend leases of subscription %q: %w", name,
			operations.InvalidOption("lease", "is %s, it must be from 1s to %s", Duration(lease), Duration(maxLease)))
	}
	return b.settle(ctx, "extend leases of", name, tokens, pullItem{op: opExtend, lease: lease})
}

func (b *Broker) settle(ctx context.Context, what, name string, tokens []string, like pullItem) ([]TokenResult, error) {
	if len(tokens) == 0 || len(tokens) > MaxPull {
		return nil, fmt.Errorf("%s subscription %q: %w", what, name, operations.InvalidOption("tokens", "are %d, they must be from 1 to %d", len(tokens), MaxPull))
	}
	items := make([]*pullItem, len(tokens))
	for i, text := range tokens {
		token, err := parsePullToken(text)
		if err != nil {
			return nil, fmt.Errorf("%s subscription %q: %w", what, name, operations.InvalidOption("tokens", "must be those of deliveries: that at index %d is none", i))
		}
		items[i] = new(like)
		items[i].token, items[i].result.Token = token, text
	}
	results := make([]TokenResult, len(items))
	err := b.inQueue(ctx, name, func(q *pullQueue) error {
		own := slices.DeleteFunc(slices.Clone(items), func(it *pullItem) bool {
			it.result.Outcome = TokenGone // that of a subscription that had the name before
			return it.token.subscription != q.id
		})
		return q.settle(ctx, own)
	})
	if err != nil {
		return nil, fmt.Errorf("%s subscription %q: %w", what, name, err)
	}
	for i, it := range items {
		results[i] = it.result
	}
	return results, nil
}

// pullToken names an event in the hands of a caller.
type pullToken struct {
	subscription, position int64
	id                     uuid.UUID
}

func (t pullToken) String() string {
	b := make([]byte, 0, 32)
	b = binary.BigEndian.AppendUint64(b, uint64(t.subscription))
	b = binary.BigEndian.AppendUint64(b, uint64(t.position))
	return base64.RawURLEncoding.EncodeToString(append(b, t.id[:]...))
}

func parsePullToken(text string) (t pullToken, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != 32 {
		return t, errors.New("it is no token")
	}
	t.subscription, t.position = int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))
	copy(t.id[:], b[16:])
	return t, nil
}
