package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgsession"
	"github.com/57528e99/recount/internal/pgsql"
)

// DefaultSchema is the schema of the log unless Config says otherwise.
const DefaultSchema = pgsql.DefaultSchema

// Config configures a Store. Only Pool is required.
type Config struct {
	// Pool serves reads. The appender and the listener make connections of
	// their own from its configuration: up to three beyond the pool's maximum.
	Pool *pgxpool.Pool
	// Schema holds the log's tables. One schema is one log. Default: recount.
	Schema string
	// Limits bound one append.
	Limits eventstore.Limits
	// QueueAppends and QueueBytes bound the appends that wait; more are
	// ErrOverloaded at once. Default: 20,000 appends, 64 MiB.
	QueueAppends, QueueBytes int
	// BatchEvents and BatchBytes bound what one transaction writes; an append
	// larger than that is a batch of its own. Default: 2,000 events, 4 MiB.
	BatchEvents, BatchBytes int
	// CacheStreams is how many streams' versions and names are remembered at
	// least; there may be twice as many. Default: 100,000.
	CacheStreams int
	// LockTimeout is how long an append waits for the lock of the log. Whoever
	// holds it longer is named in the error. Default: 5s.
	LockTimeout time.Duration
	// WriteTimeout is how long one transaction may take before its connection
	// is given up and its outcome is unknown. Default: 20s.
	WriteTimeout time.Duration
	// SettleTimeout is how long to try to find out an unknown outcome.
	// Default: 20s.
	SettleTimeout time.Duration
	// RetryTimeout is how long appends wait for a database that cannot be
	// reached before they are ErrUnavailable. Default: 2s.
	RetryTimeout time.Duration
	// PollInterval is how long a subscription waits at most before it looks
	// for new events. It bounds delay when notifications are lost or off.
	// Default: 1s. Minimum: 1ms.
	PollInterval time.Duration
	// NoListen turns off LISTEN and NOTIFY between processes, e.g. behind a
	// transaction pooler; polling remains.
	NoListen bool
	// ReceiptTTL is how long receipts are kept. A Receipt.Window must not be longer.
	// Default: 24h. Negative: until PurgeReceipts is called.
	ReceiptTTL time.Duration
	// ObserveAppend is told of every append, and ObserveBatch of every
	// transaction in which the appender wrote some. The first is called by many
	// goroutines at once; the second holds up the next batch. Default: nobody.
	ObserveAppend func(AppendObservation)
	ObserveBatch  func(BatchObservation)
}

func (c Config) withDefaults() (Config, error) {
	if c.Pool == nil {
		return c, errors.New("pgstore: Config.Pool is nil")
	}
	if c.Schema == "" {
		c.Schema = DefaultSchema
	}
	c.Limits = c.Limits.WithDefaults()
	setInt := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	setInt(&c.QueueAppends, 20_000)
	setInt(&c.QueueBytes, 64<<20)
	setInt(&c.BatchEvents, 2000)
	setInt(&c.BatchBytes, 4<<20)
	setInt(&c.CacheStreams, 100_000)
	setDuration := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	setDuration(&c.LockTimeout, 5*time.Second)
	setDuration(&c.WriteTimeout, 20*time.Second)
	setDuration(&c.SettleTimeout, 20*time.Second)
	setDuration(&c.RetryTimeout, 2*time.Second)
	setDuration(&c.PollInterval, time.Second)
	setDuration(&c.ReceiptTTL, 24*time.Hour)
	c.PollInterval = max(c.PollInterval, time.Millisecond)
	// PostgreSQL reads a timeout of zero as none.
	c.LockTimeout = max(c.LockTimeout, time.Millisecond)
	return c, nil
}

// ConfigurePool prepares the configuration of a pool for Config.Pool, before the pool is made:
// settings of the role, the database or a pooler then do not matter, a client that gives up costs
// no connection, and sessions that were begun while the database was read-only are replaced when it
// is not any more. A pool that was not prepared has its settings checked by Open.
func ConfigurePool(config *pgxpool.Config) { pgsession.Configure(config) }

// Store is an event log in PostgreSQL. It is safe for concurrent use.
type Store struct {
	cfg        Config
	queue      *queue
	appender   *appender
	lookups    gather[*lookup]
	loads      gather[*load]
	hub        *hub
	dictionary *dictionary
	statements sync.Map
	// known is the incarnation of the log as it was last seen.
	known atomic.Pointer[incarnation]
	// adopted is the incarnation that this store may append to; its origin does not
	// count.
	adopted atomic.Pointer[incarnation]
	// onReleased has the functions to call when a lease was given back, see OnLeaseReleased.
	onReleased sync.Map
	// subscriptions and receiptsPurged are for Stats.
	subscriptions, receiptsPurged atomic.Int64
	// sender is what the store's own notifications begin with.
	sender string
	// refused is why the database took no write when the last was tried; nil: it
	// did.
	refused atomic.Pointer[refusal]
	// contentsStep is how many positions Contents counts at a time.
	contentsStep int64

	stop context.CancelFunc
	// done is closed when the store is closed.
	done    <-chan struct{}
	stopped chan struct{}
}

var (
	_ eventstore.Store               = (*Store)(nil)
	_ eventstore.MultiStreamAppender = (*Store)(nil)
	_ eventstore.ReceiptStore        = (*Store)(nil)
	_ eventstore.StreamManager       = (*Store)(nil)
	_ eventstore.ContentLister       = (*Store)(nil)
)

// Open opens the log in cfg.Schema. It connects at once: a database that cannot
// be reached or lacks the tables is an error. Close the store to drain it.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.Background())
	s := &Store{cfg: cfg, queue: newQueue(cfg), sender: uuid.NewString(), contentsStep: 100_000, stop: stop, done: background.Done(), stopped: make(chan struct{})}
	s.dictionary = newDictionary(cfg.CacheStreams)
	s.lookups.answer, s.lookups.most = s.answerLookups, maxLookups
	s.loads.answer, s.loads.most = s.answerLoads, maxLoads
	s.hub = newHub()
	s.appender = newAppender(s)
	if err := pgsession.Check(ctx, cfg.Pool); err != nil {
		stop()
		return nil, fmt.Errorf("open log in schema %s: %w", cfg.Schema, translate(err))
	}
	if err := s.identify(ctx); err != nil {
		stop()
		return nil, fmt.Errorf("open log in schema %s: %w", cfg.Schema, translate(err))
	}
	s.adopted.Store(s.known.Load())
	s.start(background)
	return s, nil
}

// start runs the goroutines of the store. They end when the queue is closed and
// drained and background is done.
func (s *Store) start(background context.Context) {
	appended := make(chan struct{})
	go func() {
		defer close(appended)
		s.appender.run()
	}()
	go func() {
		defer close(s.stopped)
		s.runBackground(background)
		<-appended
		s.lookups.close()
		s.loads.close()
	}()
}

// Close takes no more appends, writes those that wait, answers their callers and
// closes the store's connections. It waits until ctx is done and may be called
// more than once.
func (s *Store) Close(ctx context.Context) error {
	s.queue.close()
	select {
	case <-s.appender.drained:
	case <-ctx.Done():
		return fmt.Errorf("close event store: %w", ctx.Err())
	}
	s.stop()
	select {
	case <-s.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close event store: %w", ctx.Err())
	}
}

// usable reports whether the store may still be read.
func (s *Store) usable() error {
	select {
	case <-s.done:
		return eventstore.ErrClosed
	default:
		return nil
	}
}

// Features returns what the store can do: everything.
func (s *Store) Features() eventstore.Features {
	return eventstore.Features{MultiStreamAppend: true, Receipts: true, GaplessLog: true, StreamManagement: true, Contents: true}
}

// sql puts the store's schema into a statement. It keeps the result: there are as many
// as somebody wrote.
func (s *Store) sql(statement string) string {
	sql, ok := s.statements.Load(statement)
	if !ok {
		sql, _ = s.statements.LoadOrStore(statement, pgsql.In(s.cfg.Schema, statement))
	}
	return sql.(string)
}
