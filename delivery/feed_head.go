package delivery

import (
	"context"
	"time"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
)

// followHead reads the end of the log until ctx is done.
func (f *feed) followHead(ctx context.Context) {
	loop := background.Loop{Failed: func(err error, pause time.Duration) {
		f.logger.Warn().Err(err).Dur("pause", pause).Msg("reading the log was interrupted")
	}}
	_ = loop.Run(ctx, func(whole context.Context) (background.Next, error) {
		ctx, life, stop := f.during(whole)
		defer stop()
		defer f.fallBehind()
		end, err := f.store.Head(ctx)
		if err != nil {
			return background.Idle, err
		}
		f.begin(life, end.Position)
		read := false
		for b, err := range f.store.Subscribe(ctx, eventstore.ReadOptions{After: end, PageSize: feedPage}) {
			if ctx.Err() != nil {
				break
			}
			if err != nil {
				return again(read), err
			}
			read = true
			f.atHead(life, b)
		}
		return background.Again, whole.Err()
	})
}

func again(did bool) background.Next {
	if did {
		return background.Again
	}
	return background.Idle
}

// begin begins to read behind a position.
func (f *feed) begin(life int, position int64) {
	f.mu.Lock()
	if f.life == life {
		f.position, f.recent = position, recentEventList{}
		f.dealt.Store(position)
	}
	f.mu.Unlock()
	f.stir()
}

// atHead deals out what is new.
func (f *feed) atHead(life int, b eventstore.Batch) {
	f.mu.Lock()
	if f.life != life {
		f.mu.Unlock()
		return
	}
	f.recent.add(f.position+1, b.Next-1, b.Events)
	f.position = b.Next - 1
	f.mu.Unlock()
	// What is at the head has read up to here, but for what does not match.
	f.deal(head, nil, b.Events, 0, b.Next-1)
	f.mu.Lock()
	if f.life == life {
		f.dealt.Store(b.Next - 1)
	}
	f.mu.Unlock()
}

// fallBehind takes all from the head when it is read no more.
func (f *feed) fallBehind() {
	f.mu.Lock()
	defer f.mu.Unlock()
	dealt := f.dealt.Swap(unread)
	for q := range f.queues {
		if q.by.Load() == head {
			q.consumer.offer(nil, 0, dealt)
			f.leaveHead(q)
		}
	}
	f.position, f.recent = unread, recentEventList{}
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
	var last string // key: most often several have the same in turn
	place := core.PlaceOf(last)
	plain, version := *f.plain.Load(), f.matcher.Version()
	for i := range events {
		e := &events[i]
		ids = ids[:0]
		if version != nil {
			about := PatternEvent(e)
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
			partition := 0
			if n := len(s.queues); n > 1 {
				if key != last {
					last, place = key, core.PlaceOf(key)
				}
				partition = place.Partition(n)
			}
			q := s.queues[partition].Load()
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
		keepOnly(q.pending, len(events))
		read := q.consumer.offer(q.pending, from, upto)
		clear(q.pending)
		if q.pending = q.pending[:0]; cap(q.pending) > maxPending {
			q.pending = nil
		}
		if reader == head && read < upto {
			f.mu.Lock()
			f.leaveHead(q)
			f.mu.Unlock()
		}
	}
}

// maxPending is for how many events a queue keeps room from page to page: there may be thousands of queues.
const maxPending = 1024

// keptShare is which part of a page at least its consumers keep in memory as it is.
const keptShare = 8

// keepOnly makes copies of the events that a queue gets of a page if they are few: as long as one of its events is used, a
// whole page stays in memory.
func keepOnly(few []offered, page int) {
	if len(few)*keptShare >= page {
		return
	}
	size := 0
	for i := range few {
		size += few[i].event.Size()
	}
	events, bytes := make([]eventstore.RecordedEvent, len(few)), make([]byte, 0, size)
	own := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		from := len(bytes)
		bytes = append(bytes, b...)
		return bytes[from:len(bytes):len(bytes)]
	}
	for i := range few {
		events[i] = *few[i].event
		events[i].Data, events[i].Metadata = own(events[i].Data), own(events[i].Metadata)
		few[i].event = &events[i]
	}
}
