package memstore

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/internal/verdict"
)

var (
	_ eventstore.Store               = (*Store)(nil)
	_ eventstore.MultiStreamAppender = (*Store)(nil)
	_ eventstore.ReceiptStore        = (*Store)(nil)
	_ eventstore.StreamManager       = (*Store)(nil)
	_ eventstore.ContentLister       = (*Store)(nil)
)

// Config says how a store behaves. The zero value works.
type Config struct {
	// Now is the store's clock. Default: time.Now.
	Now func() time.Time
	// Limits bound appends. Default: those of eventstore.Limits.
	Limits eventstore.Limits
}

// Store is an event store in memory. Make one with New. It is safe for
// concurrent use.
type Store struct {
	id     uuid.UUID
	now    func() time.Time
	limits eventstore.Limits
	closed chan struct{}

	mu sync.Mutex
	// log has the event of position n at n-1. It only ever grows and events in
	// it never change, so a reader may keep a slice of it without the lock. The
	// same holds for the positions of a stream.
	log      []eventstore.RecordedEvent
	streams  map[string]*stream
	receipts map[receiptKey]eventstore.StoredReceipt
	// grown is closed, and replaced, when the log grows.
	grown chan struct{}
}

// stream is the state of one stream that was written.
type stream struct {
	verdict.Stream
	// positions has the position of the event of version n at n.
	positions []int64
	byID      map[uuid.UUID]int64
}

// New returns an empty store, whose log has an id of its own.
func New(c Config) *Store {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Store{
		id:       uuid.New(),
		now:      c.Now,
		limits:   c.Limits,
		closed:   make(chan struct{}),
		streams:  make(map[string]*stream),
		receipts: make(map[receiptKey]eventstore.StoredReceipt),
		grown:    make(chan struct{}),
	}
}

// Features says that the store can do everything.
func (s *Store) Features() eventstore.Features {
	return eventstore.Features{MultiStreamAppend: true, Receipts: true, GaplessLog: true, StreamManagement: true, Contents: true}
}

// Close ends all subscriptions and makes every later call fail with ErrClosed.
// It may be called more than once and never fails; ctx is not used.
func (s *Store) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	return nil
}

// Head returns the place of the last event of the log.
func (s *Store) Head(ctx context.Context) (eventstore.Token, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return eventstore.Token{}, err
	}
	defer unlock()
	return s.head(), nil
}

// lock takes the lock unless ctx is done or the store is closed.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	select {
	case <-s.closed:
		s.mu.Unlock()
		return nil, eventstore.ErrClosed
	default:
		return s.mu.Unlock, nil
	}
}

func (s *Store) head() eventstore.Token { return s.token(int64(len(s.log))) }

func (s *Store) token(position int64) eventstore.Token {
	return eventstore.Token{Log: s.id, Incarnation: 1, Position: position}
}
