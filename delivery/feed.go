package delivery

import (
	"context"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery/internal/core"
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
	// recentEvents and recentBytes bound the events kept for those that fell behind a little.
	recentEvents = 8192
	recentBytes  = 16 << 20
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
	// dealt is up to where the head has been dealt out; 0: not yet known.
	dealt atomic.Int64

	mu sync.Mutex
	// position is up to where recent goes. A queue that has read so far can be at the head.
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

// partitionOf returns the partition that a key belongs to.
func (s *source) partitionOf(key string) int {
	if len(s.queues) == 1 {
		return 0
	}
	return core.PartitionOf(key, len(s.queues))
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

func newFeed(store eventstore.Reader, logger zerolog.Logger) *feed {
	f := &feed{store: store, logger: logger, queues: make(map[*queue]struct{}), behind: make(map[*queue]struct{})}
	f.plain.Store(&[]*source{})
	for i := range f.wake {
		f.wake[i] = make(chan struct{}, 1)
	}
	return f
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

// passed returns up to where a queue has been served although nothing was offered to it; 0: unknown.
func (f *feed) passed(q *queue) int64 {
	// In this order: of what was dealt by now it got its part if it is at the head still.
	dealt := f.dealt.Load()
	if q.by.Load() != head {
		return 0
	}
	return dealt
}

// reads returns up to where the log was read at its end.
func (f *feed) reads() int64 { return f.dealt.Load() }

// followHead reads the end of the log until ctx is done.
func (f *feed) followHead(ctx context.Context) {
	loop := background.Loop{Failed: func(err error, pause time.Duration) {
		f.logger.Warn().Err(err).Dur("pause", pause).Msg("reading the log was interrupted")
	}}
	_ = loop.Run(ctx, func(ctx context.Context) (background.Next, error) {
		defer f.fallBehind()
		end, err := f.store.Head(ctx)
		if err != nil {
			return background.Idle, err
		}
		f.begin(end.Position)
		read := false
		for b, err := range f.store.Subscribe(ctx, eventstore.ReadOptions{After: end, PageSize: feedPage}) {
			if err != nil {
				return again(read), err
			}
			read = true
			f.atHead(b)
		}
		return background.Again, ctx.Err()
	})
}

func again(did bool) background.Next {
	if did {
		return background.Again
	}
	return background.Idle
}

// begin begins to read behind a position.
func (f *feed) begin(position int64) {
	f.mu.Lock()
	f.position, f.recent = position, recentEventList{}
	f.mu.Unlock()
	f.dealt.Store(position)
	f.stir()
}

// atHead deals out what is new.
func (f *feed) atHead(b eventstore.Batch) {
	f.mu.Lock()
	f.recent.add(f.position+1, b.Next-1, b.Events)
	f.position = b.Next - 1
	f.mu.Unlock()
	// What is at the head has read up to here, but for what does not match.
	f.deal(head, nil, b.Events, 0, b.Next-1)
	f.dealt.Store(b.Next - 1)
}

// fallBehind takes all from the head when it is read no more.
func (f *feed) fallBehind() {
	f.mu.Lock()
	defer f.mu.Unlock()
	dealt := f.dealt.Swap(0)
	for q := range f.queues {
		if q.by.Load() == head {
			q.consumer.offer(nil, 0, dealt)
			f.leaveHead(q)
		}
	}
	f.position, f.recent = 0, recentEventList{}
}

// leaveHead says that a queue is behind. The caller holds f.mu, and has offered all that the head has for it.
func (f *feed) leaveHead(q *queue) {
	if q.by.CompareAndSwap(head, nobody) {
		q.source.served[head].Add(-1)
		f.behind[q] = struct{}{}
		f.stir()
	}
}

// deal hands the events from one position on up to another to the queues that a reader serves: to all that it
// claimed, or to those at the head for which there are some.
func (f *feed) deal(reader int32, claimed []*queue, events []eventstore.RecordedEvent, from, upto int64) {
	var touched []*queue
	var ids []*source
	plain, version := *f.plain.Load(), f.matcher.Version()
	for i := range events {
		e := &events[i]
		ids = ids[:0]
		if version != nil {
			about := aboutEvent(e)
			ids = version.Match(&about, ids)
		}
		if !isSystem(e) {
			ids = append(ids, plain...)
		}
		for _, s := range ids {
			if s.served[reader].Load() == 0 {
				continue
			}
			key := s.keyOf(e)
			q := s.queues[s.partitionOf(key)].Load()
			if q == nil || q.by.Load() != reader {
				continue
			}
			if len(q.pending) == 0 {
				touched = append(touched, q)
			}
			q.pending = append(q.pending, offered{e, key})
		}
	}
	if reader != head {
		touched = claimed
	}
	for _, q := range touched {
		read := q.consumer.offer(q.pending, from, upto)
		clear(q.pending)
		q.pending = q.pending[:0]
		if reader == head && read < upto {
			f.mu.Lock()
			f.leaveHead(q)
			f.mu.Unlock()
		}
	}
}

// catchUp serves those that are behind, the furthest first, until ctx is done.
func (f *feed) catchUp(ctx context.Context, reader int32) {
	wake := f.wake[reader-1]
	loop := background.Loop{Idle: patience, Wake: wake, Failed: func(err error, pause time.Duration) {
		f.logger.Warn().Err(err).Dur("pause", pause).Msg("reading the log behind its end was interrupted")
	}}
	_ = loop.Run(ctx, func(ctx context.Context) (background.Next, error) {
		from, filter, ok := f.furthest()
		if !ok {
			return background.Idle, nil
		}
		if f.serveRecent(reader) {
			return background.Again, nil
		}
		return f.readPages(ctx, reader, from, filter)
	})
}

// furthest returns the lowest position that somebody wants whom nobody serves, and what can match of all who want.
func (f *feed) furthest() (from int64, filter eventstore.Filter, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var union pins
	for q := range f.behind {
		if q.by.Load() != nobody {
			continue
		}
		next, wants := q.consumer.next()
		if !wants {
			continue
		}
		union.add(q.source)
		if !ok || next < from {
			from, ok = next, true
		}
	}
	return from, union.filter(), ok
}

// claim lets a reader serve those who want positions from one on up to another, of what a filter lets through.
func (f *feed) claim(reader int32, from, upto int64, filter eventstore.Filter) (claimed []*queue) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for q := range f.behind {
		if q.by.Load() != nobody || !covers(filter, q.source) {
			continue
		}
		if next, wants := q.consumer.next(); wants && next >= from && next <= upto {
			q.by.Store(reader)
			q.source.served[reader].Add(1)
			claimed = append(claimed, q)
		}
	}
	return claimed
}

// release ends the serving of queues. Those that have read all there is are at the head from now on.
func (f *feed) release(reader int32, claimed []*queue) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, q := range claimed {
		q.source.served[reader].Add(-1)
		_, serve := f.behind[q]
		next, wants := q.consumer.next()
		if serve && wants && f.position > 0 && next == f.position+1 {
			delete(f.behind, q)
			q.source.served[head].Add(1)
			q.by.Store(head)
			continue
		}
		q.by.Store(nobody)
	}
}

// serveRecent serves those who want what is kept of the end of the log, and reports whether there are any.
func (f *feed) serveRecent(reader int32) bool {
	f.mu.Lock()
	first, upto := f.recent.first(f.position), f.position
	f.mu.Unlock()
	if upto == 0 {
		return false
	}
	// One who has read all is served as well: it gets to the head.
	claimed := f.claim(reader, first, upto+1, eventstore.Filter{})
	if len(claimed) == 0 {
		return false
	}
	from := upto + 1
	for _, q := range claimed {
		next, _ := q.consumer.next()
		from = min(from, next)
	}
	f.mu.Lock()
	runs := f.recent.from(from)
	f.mu.Unlock()
	for _, r := range runs {
		f.deal(reader, claimed, r.events, r.from, r.upto)
	}
	f.release(reader, claimed)
	return true
}

// readPages reads page after page from a position on while somebody wants the next.
func (f *feed) readPages(ctx context.Context, reader int32, from int64, filter eventstore.Filter) (background.Next, error) {
	ctx, cancel := context.WithCancel(ctx)
	next := background.Idle
	pages, ended := ahead(ctx, f.store.Subscribe(ctx, eventstore.ReadOptions{From: from, PageSize: feedPage, Filter: filter}))
	defer func() { cancel(); <-ended }()
	for range pagesInARow {
		p, ok := f.nextPage(ctx, reader, from, pages)
		if !ok {
			return background.Again, context.Cause(ctx)
		}
		if p.err != nil {
			return next, p.err
		}
		upto := p.Next - 1
		claimed := f.claim(reader, from, upto, filter)
		if len(claimed) > 0 {
			f.deal(reader, claimed, p.Events, from, upto)
			f.release(reader, claimed)
			next = background.Again
		}
		from = upto + 1
		if f.isRecent(from) || !f.waitFor(ctx, reader, from) {
			return background.Again, nil
		}
	}
	return background.Again, nil
}

// page is what one reads ahead.
type page struct {
	eventstore.Batch
	err error
}

// ahead reads one page while the one before is dealt out. It ends with ctx.
func ahead(ctx context.Context, batches iter.Seq2[eventstore.Batch, error]) (next <-chan page, done <-chan struct{}) {
	pages, ended := make(chan page, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for b, err := range batches {
			select {
			case pages <- page{b, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return pages, ended
}

// nextPage waits for the page from a position on. It gives up when ctx is done, and for a position that the log does not have
// yet if somebody wants one before it: in a log that was restored it may be long until it does.
func (f *feed) nextPage(ctx context.Context, reader int32, from int64, pages <-chan page) (p page, ok bool) {
	for {
		select {
		case p = <-pages:
			return p, true
		case <-f.wake[reader-1]:
			f.mu.Lock()
			beyond := from > f.position
			f.mu.Unlock()
			if lowest, _, ok := f.furthest(); beyond && ok && lowest < from {
				return p, false
			}
		case <-ctx.Done():
			return p, false
		}
	}
}

// isRecent reports whether what is kept of the end of the log has the position.
func (f *feed) isRecent(position int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.position > 0 && position >= f.recent.first(f.position)
}

// waitFor waits until somebody wants a position, and reports whether it is the lowest that is wanted.
func (f *feed) waitFor(ctx context.Context, reader int32, position int64) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		from, _, ok := f.furthest()
		if ok {
			return from == position
		}
		select {
		case <-f.wake[reader-1]:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// pins is the union of the types and categories that alone can match for several sources.
type pins struct {
	any                     bool
	allTypes, allCategories bool
	types, categories       []string
}

// maxPins bounds how many types or categories are looked for: many are most of the log.
const maxPins = 64

func (p *pins) add(s *source) {
	p.any = true
	p.allTypes = p.allTypes || s.types == nil
	p.allCategories = p.allCategories || s.categories == nil
	if !p.allTypes {
		p.types = append(p.types, s.types...)
	}
	if !p.allCategories {
		p.categories = append(p.categories, s.categories...)
	}
}

func (p *pins) filter() (f eventstore.Filter) {
	distinct := func(all bool, names []string) []string {
		slices.Sort(names)
		if names = slices.Compact(names); all || len(names) > maxPins {
			return nil
		}
		return names
	}
	if p.any {
		f.Types, f.Categories = distinct(p.allTypes, p.types), distinct(p.allCategories, p.categories)
	}
	return f
}

// covers reports whether a filter lets all through that can match for a source.
func covers(f eventstore.Filter, s *source) bool {
	in := func(wanted, let []string) bool {
		return len(let) == 0 || wanted != nil && !slices.ContainsFunc(wanted, func(name string) bool { return !slices.Contains(let, name) })
	}
	return in(s.types, f.Types) && in(s.categories, f.Categories)
}

// recentEventList is the last events of the log, without gaps.
type recentEventList struct {
	runs          []recentRun
	events, bytes int
}

type recentRun struct {
	from, upto int64
	events     []eventstore.RecordedEvent
	bytes      int
}

func (l *recentEventList) add(from, upto int64, events []eventstore.RecordedEvent) {
	r := recentRun{from: from, upto: upto, events: events}
	for i := range events {
		r.bytes += events[i].Size()
	}
	l.runs = append(l.runs, r)
	l.events, l.bytes = l.events+len(events), l.bytes+r.bytes
	drop := 0
	for ; drop < len(l.runs) && (l.events > recentEvents || l.bytes > recentBytes); drop++ {
		l.events, l.bytes = l.events-len(l.runs[drop].events), l.bytes-l.runs[drop].bytes
	}
	clear(l.runs[:drop])
	l.runs = l.runs[drop:]
}

// first returns the lowest position from which on all is there; what is behind the last one is, where
// the list goes up to.
func (l *recentEventList) first(upto int64) int64 {
	if len(l.runs) == 0 {
		return upto + 1
	}
	return l.runs[0].from
}

// from returns the runs from a position on.
func (l *recentEventList) from(position int64) []recentRun {
	i, _ := slices.BinarySearchFunc(l.runs, position, func(r recentRun, p int64) int { return int(r.upto - p) })
	return slices.Clone(l.runs[i:])
}
