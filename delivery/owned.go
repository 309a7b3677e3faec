package delivery

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/eventstore"
)

// windowSize and windowBytes bound the events in memory between the cursor of a partition and what it has read. One may be
// larger, and a large batch has to find room.
const (
	windowSize  = 10_000
	windowBytes = 16 << 20
)

// eventsInTx is how many events, which do not depend on how they are cut into batches, share a transaction.
const eventsInTx = 512

// running is a subscription of which this process has partitions. All of them deliver by one revision: with another it
// is taken anew.
type running struct {
	runner *Runner
	id     int64
	name   string
	// subscription is who receivers take it for, replay what of that it is; empty: it is no replay.
	subscription, replay string
	// effects is where what was done is remembered, by the id of a subscription.
	effects    int64
	revision   int64
	definition Definition
	config     core.Config
	source     *source
	// feed has the events, store those that are in memory no more.
	feed    *feed
	store   eventstore.Reader
	breaker *core.Breaker
	// changes is that of the breaker when all partitions were looked at last.
	changes atomic.Uint64

	target Target
	// tx is target, if it is transactional.
	tx        Transactional
	idler     idler
	quick     bool
	remembers bool
	// eachByItself: events of a transaction do not depend on how they are cut into batches.
	eachByItself bool
	// timeout bounds an attempt, txTimeout the transaction of one.
	timeout, txTimeout time.Duration
	// also, if not nil, reports whether an event that matches is wanted. End, if not 0, is up to where partitions read, rate
	// how many events they try in a second.
	also func(*eventstore.RecordedEvent) bool
	end  int64
	rate float64

	// stirred: it is among the runner's.
	stirred atomic.Bool
	// takesAlerts: it was given alerts, or its filter names them.
	takesAlerts atomic.Bool
	// lastFailure is that of the last attempt that failed; openSince is since when the breaker is open, as far as was told. Only
	// the mover uses it.
	lastFailure atomic.Pointer[core.Result]
	openSince   time.Time

	mu sync.Mutex
	// partitions are those that are here. The list is replaced, never changed.
	partitions []*partition
}

// newRunning returns what is needed to deliver partitions of a subscription.
func (r *Runner) newRunning(t *taken) (*running, error) {
	s := &running{
		runner: r, id: t.Subscription, name: t.Name, subscription: t.Name, effects: t.Subscription, revision: t.Revision, definition: t.Definition,
		timeout: defaultTimeout,
		breaker: core.NewBreaker(t.Definition.Breaker.Keys, rand.Float64),
	}
	selector, err := newSelector(&t.Definition)
	if err != nil {
		return nil, err
	}
	s.source = newSource(selector, t.Partitions)
	s.takesAlerts.Store(selector.namesAlerts())
	s.feed, s.store = r.feedOf(s.definition.Source), s.definition.Source.reader(r.config.Pool, r.config.Schema, r.config.Store)
	if t.Replay != nil {
		if err := s.setReplay(t); err != nil {
			return nil, err
		}
	}
	if err := s.setTarget(); err != nil {
		return nil, err
	}
	s.configure()
	return s, nil
}

// setTarget makes its target.
func (s *running) setTarget() error {
	r, config, definition := s.runner, s.definition.Target, s.definition
	definition.Name = s.subscription // by which secrets are known
	// It may have changed since it was judged who can run it.
	h, target := r.handlers[handlerName(config)], r.targets[config.needs()]
	switch {
	case config.Handler != nil && h != nil:
		s.target, s.quick, s.timeout = h.target(r.config.Codec), h.quick, h.timeout
	case target != nil:
		var err error
		if s.target, err = target(definition); err != nil {
			return err
		}
	default:
		return fmt.Errorf("this program has no %s", config.needs())
	}
	if of, ok := s.target.(interface{ ofSubscription(id int64) }); ok {
		of.ofSubscription(s.id)
	}
	s.idler, _ = s.target.(idler)
	if h != nil && config.Handler != nil && definition.Transform != nil && !h.raw {
		return errDecodes
	}
	if requests := config.Requests(); requests != nil {
		s.timeout = time.Duration(requests.Timeout)
	}
	if tx, ok := s.target.(Transactional); ok {
		s.tx = tx
		if with, ok := s.target.(interface{ remembers() bool }); ok {
			s.remembers = with.remembers()
		}
		if with, ok := s.target.(interface{ eachByItself() bool }); ok {
			s.eachByItself = with.eachByItself()
		}
	}
	s.txTimeout = s.timeout
	if definition.isPrepared() {
		prepared, err := prepare(&definition, s.target, r.lookups)
		if err != nil {
			return err
		}
		s.target, s.quick = prepared, false
		events := definition.Batch.MaxEvents
		if s.eachByItself {
			events = max(events, eventsInTx)
		}
		s.timeout = max(s.timeout, min(s.timeout+definition.enrichTime(events), maxTimeout))
		s.tx, _ = prepared.(Transactional)
	}
	return nil
}

// handlerName returns the name of the Go handler that is the target; "": it is none.
func handlerName(t TargetConfig) string {
	if t.Handler == nil {
		return ""
	}
	return t.Handler.Name
}

// setReplay makes it deliver a replay.
func (s *running) setReplay(t *taken) error {
	r := t.Replay
	s.subscription, s.replay, s.end, s.rate = r.Subscription, t.Name, r.To, r.Rate
	if r.Target == nil { // another one has done nothing yet
		s.effects = t.ReplayOf
	}
	if err := s.source.narrow(r.Filter); err != nil {
		return err
	}
	if p := s.source.also; p != nil {
		s.also = matcherOf(p)
		s.source.types, s.source.categories = both(s.source.types, p.Types()), both(s.source.categories, p.Categories())
	}
	return nil
}

// both returns what is in both lists, of which one that is nil has everything.
func both(a, b []string) []string {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
}

// closeTarget lets the target go, after the last attempt.
func (s *running) closeTarget() {
	if c, ok := s.target.(interface{ Close() }); ok {
		c.Close()
	}
}

// configure sets what partitions go by.
func (s *running) configure() {
	d := &s.definition
	s.config = core.Config{
		MaxInFlight: d.MaxInFlight, MaxParked: d.MaxParked, Window: windowSize, WindowBytes: max(windowBytes, 2*d.Batch.MaxBytes),
		MaxEvents: d.Batch.MaxEvents, MaxBytes: d.Batch.MaxBytes,
		Wait: time.Duration(d.Batch.Wait), Hold: d.AfterDead == Hold, Bisect: *d.Bisect, Serial: s.tx != nil, Random: rand.Float64,
		Retry: core.Retry{MaxAttempts: d.Retry.MaxAttempts, MaxAge: time.Duration(d.Retry.MaxAge), First: time.Duration(d.Retry.First),
			Cap: time.Duration(d.Retry.Cap), Factor: d.Retry.Factor},
	}
	if s.eachByItself {
		s.config.MaxEvents, s.config.Bisect = max(s.config.MaxEvents, eventsInTx), true
	}
	if s.rate > 0 {
		s.config.MaxEvents = mostAtOnce(s.config.MaxEvents, s.rate)
	}
}

// pumpAll begins attempts in all partitions, if the breaker lets more begin than it did.
func (s *running) pumpAll() {
	changes := s.breaker.Changes()
	if s.changes.Swap(changes) == changes {
		return
	}
	for _, p := range s.all() {
		p.pump(false)
	}
}

func (s *running) all() []*partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partitions
}

// rateMeter says how many positions a second a partition passes.
type rateMeter struct {
	at       time.Time
	position int64
	rate     float64
}

func (m *rateMeter) see(now time.Time, position int64) float64 {
	if m.at.IsZero() {
		m.at, m.position = now, position
	}
	if d := now.Sub(m.at); d >= time.Second {
		m.rate = float64(position-m.position) / d.Seconds()
		m.at, m.position = now, position
	}
	return m.rate
}
