package delivery

import (
	"context"
	"iter"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
)

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

// claim lets a reader serve those who want positions from one on up to another of a log, of what a filter lets through.
func (f *feed) claim(reader int32, life int, from, upto int64, filter eventstore.Filter) (claimed []*queue) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.life != life {
		return nil
	}
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
		if serve && wants && f.position != unread && next == f.position+1 {
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
	life, first, upto := f.life, f.recent.first(f.position), f.position
	f.mu.Unlock()
	if upto == unread {
		return false
	}
	// One who has read all is served as well: it gets to the head.
	claimed := f.claim(reader, life, first, upto+1, eventstore.Filter{})
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
	ctx, life, cancel := f.during(ctx)
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
		claimed := f.claim(reader, life, from, upto, filter)
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
// yet if somebody wants one before it, for in a log that was restored it may be long until it does, or can be at the head, whose
// reading has begun meanwhile.
func (f *feed) nextPage(ctx context.Context, reader int32, from int64, pages <-chan page) (p page, ok bool) {
	for {
		select {
		case p = <-pages:
			return p, true
		case <-f.wake[reader-1]:
			f.mu.Lock()
			beyond, recent := from > f.position, f.position != unread && from >= f.recent.first(f.position)
			f.mu.Unlock()
			if lowest, _, ok := f.furthest(); ok && (recent || beyond && lowest < from) {
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
	return f.position != unread && position >= f.recent.first(f.position)
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
