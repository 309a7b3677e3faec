package delivery

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
)

const (
	// feedPage is how many events a page has that is read behind the head.
	feedPage = 5000
	// catchUps is how many read behind the head at once.
	catchUps = 2
	// pagesInARow is after how many pages one looks again who is the furthest behind.
	pagesInARow = 64
	// patience is how long one that has read a page waits for those who want the next.
	patience = time.Second
)

// head is the reader at the end of the log; those behind it have the numbers from 1 on.
const head = 0

// feed reads the log once for all partitions of a process: at its end, and at most catchUps times behind it.
// Nobody joins or leaves a reader: a partition says up to where it has read, and a page serves all whose next
// position lies in it. One that cannot take more falls behind; it holds up nobody.
type feed struct {
	store  eventstore.Reader
	logger zerolog.Logger

	matcher pattern.Matcher[*source]
	// plain are the sources without a pattern. The slice is replaced, never changed.
	plain atomic.Pointer[[]*source]
	// dealt is up to where the head has been dealt out, or unread.
	dealt atomic.Int64

	mu sync.Mutex
	// life counts the logs that were read: a log that was restored is another one. Reading ends with it.
	life    int
	reading context.Context
	over    context.CancelFunc
	// position is up to where recent goes, or unread. A queue that has read so far can be at the head.
	position int64
	recent   recentEventList
	// queues are all that are to be served, behind those of them that are not at the head.
	queues, behind map[*queue]struct{}

	wake [catchUps]chan struct{}
}

// source is a subscription as the feed knows it.
type source struct {
	*selector
	// types and categories are those that alone can match; nil: all can.
	types, categories []string
	// queues are its partitions, by number; nil: not here.
	queues []atomic.Pointer[queue]
	// served is how many of them each reader serves now.
	served [1 + catchUps]atomic.Int32
}

func newSource(s *selector, partitions int) *source {
	src := &source{selector: s, queues: make([]atomic.Pointer[queue], partitions)}
	if s.pattern != nil {
		src.types, src.categories = s.pattern.Types(), s.pattern.Categories()
	}
	return src
}

// consumer is what a queue hands its events to.
type consumer interface {
	// next returns the position behind what it has read, and whether it wants more now.
	next() (position int64, wants bool)
	// offer hands it all that matches from a position on up to another, and returns up to where it has read now.
	// What it has read already is dropped, and so is what it has no room for, and all of it if it has not read up to
	// from.
	offer(events []offered, from, upto int64) (read int64)
}

// offered is an event that matches, and its key.
type offered struct {
	event *eventstore.RecordedEvent
	key   string
}

// queue is a partition as the feed knows it.
type queue struct {
	source    *source
	partition int
	consumer  consumer
	// by is the reader that serves it; nobody: it is behind, or not served at all.
	by atomic.Int32
	// pending is what its reader has for it.
	pending []offered
}

const nobody = -1

// unread is where the end of the log is that nobody reads now. 0 is the end of one without events.
const unread = -1

func newFeed(store eventstore.Reader, logger zerolog.Logger) *feed {
	f := &feed{store: store, logger: logger, position: unread, queues: make(map[*queue]struct{}), behind: make(map[*queue]struct{})}
	f.dealt.Store(unread)
	f.plain.Store(&[]*source{})
	f.reading, f.over = context.WithCancel(context.Background())
	for i := range f.wake {
		f.wake[i] = make(chan struct{}, 1)
	}
	return f
}

// forget drops what was read: the log is another one now. What readers have in hand nobody is offered who is added from now on. Those of
// before must have been removed.
func (f *feed) forget() {
	f.mu.Lock()
	f.over()
	f.life++
	f.reading, f.over = context.WithCancel(context.Background())
	f.position, f.recent = unread, recentEventList{}
	f.mu.Unlock()
	f.dealt.Store(unread)
}

// during returns the number of the log that is read now, and a context that ends with its reading.
func (f *feed) during(ctx context.Context) (during context.Context, life int, end func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	during, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(f.reading, cancel)
	return during, f.life, func() { stop(); cancel() }
}

// addSource lets events match a source. Its queues are added later.
func (f *feed) addSource(s *source) {
	if s.pattern != nil {
		f.matcher.Add(s, s.pattern)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	plain := append(slices.Clone(*f.plain.Load()), s)
	f.plain.Store(&plain)
}

func (f *feed) removeSource(s *source) {
	if s.pattern != nil {
		f.matcher.Remove(s)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	plain := slices.DeleteFunc(slices.Clone(*f.plain.Load()), func(other *source) bool { return other == s })
	f.plain.Store(&plain)
}

// newQueue returns a partition of a source. It is served once it is added to the feed.
func newQueue(s *source, partition int, c consumer) *queue {
	q := &queue{source: s, partition: partition, consumer: c}
	q.by.Store(nobody)
	return q
}

// add serves a partition, from what its consumer says is next.
func (f *feed) add(q *queue) {
	q.source.queues[q.partition].Store(q)
	f.mu.Lock()
	f.queues[q], f.behind[q] = struct{}{}, struct{}{}
	f.mu.Unlock()
	f.stir()
}

// remove serves a partition no longer. It may still be offered what a reader has in hand.
func (f *feed) remove(q *queue) {
	q.source.queues[q.partition].CompareAndSwap(q, nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.queues, q)
	delete(f.behind, q)
	if q.by.CompareAndSwap(head, nobody) {
		q.source.served[head].Add(-1)
	}
}

// stir lets those behind the head look who wants to be served. It takes no lock.
func (f *feed) stir() {
	for _, w := range f.wake {
		background.Wake(w)
	}
}

// passed returns up to where a queue has been served although nothing was offered to it, or unread.
func (f *feed) passed(q *queue) int64 {
	// In this order: of what was dealt by now it got its part if it is at the head still.
	dealt := f.dealt.Load()
	if q.by.Load() != head {
		return unread
	}
	return dealt
}

// reads returns up to where the log was read at its end; 0: it is not being read, or has no events.
func (f *feed) reads() int64 { return max(f.dealt.Load(), 0) }
