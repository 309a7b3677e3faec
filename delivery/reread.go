package delivery

import (
	"fmt"
	"slices"
	"sync"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
)

// rereads has events that are in memory no more, and that rows are tried with soon: they are read many at a time.
type rereads struct {
	mu    sync.Mutex
	kept  map[int64]*eventstore.RecordedEvent
	bytes int
	// ahead is how many events are read with the one that is needed; read is how many were last, used how many of
	// those that were kept were needed since.
	ahead, read, used int
}

const (
	// maxAhead bounds how many events are read at once, maxKept and keptBytes those that are kept; one may be larger.
	maxAhead  = 1000
	maxKept   = 2 * maxAhead
	keptBytes = 1 << 20
)

// take returns an event that is kept, and keeps it no more; nil: it is not kept.
func (r *rereads) take(position int64) *eventstore.RecordedEvent {
	e := r.kept[position]
	if e != nil {
		delete(r.kept, position)
		r.bytes -= e.Size()
		r.used++
	}
	return e
}

// forget keeps none any more.
func (r *rereads) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept, r.bytes = nil, 0
}

// reread returns an event that is in memory no more. It tries for as long as the log cannot be read; nil: the partition was lost
// meanwhile.
func (p *partition) reread(position int64) *eventstore.RecordedEvent {
	r := &p.rereads
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.take(position); e != nil {
		return e
	}
	backoff := background.Backoff{}
	for {
		e, err := p.readAhead(position)
		if err == nil {
			return e
		}
		if p.ctx.Err() != nil {
			return nil
		}
		pause := backoff.Next()
		p.of.runner.config.Logger.Warn().Err(err).Str("subscription", p.of.name).Int64("position", position).Dur("pause", pause).
			Msg("reading an event again was interrupted")
		background.Sleep(p.ctx, pause)
	}
}

// readAhead reads an event, and with it those that are likely to be needed next: the more, the more of the last were.
// The caller holds rereads.mu.
func (p *partition) readAhead(position int64) (*eventstore.RecordedEvent, error) {
	r := &p.rereads
	if r.used >= r.read/2 {
		r.ahead = min(2*r.ahead+2, maxAhead)
	} else {
		r.ahead /= 2
	}
	if len(r.kept)+r.ahead > maxKept || r.bytes > keptBytes || r.kept == nil {
		r.kept, r.bytes = make(map[int64]*eventstore.RecordedEvent), 0
	}
	p.mu.Lock()
	positions := append(p.core.Coming(r.ahead), position)
	p.mu.Unlock()
	positions = slices.DeleteFunc(positions, func(p int64) bool { return r.kept[p] != nil })
	slices.Sort(positions)
	positions = slices.Compact(positions)
	e, err := p.readKeeping(position, positions)
	if e == nil && err == nil && len(positions) > 1 { // those before it are so large that it was not reached
		r.ahead = 0
		e, err = p.readKeeping(position, []int64{position})
	}
	if e == nil && err == nil {
		err = fmt.Errorf("%w: there is no event at position %d", eventstore.ErrCorrupt, position)
	}
	return e, err
}

// readKeeping reads events and returns the one at a position; the others it keeps, as long as there is room: then it reads
// no further.
func (p *partition) readKeeping(position int64, positions []int64) (found *eventstore.RecordedEvent, err error) {
	r := &p.rereads
	r.read, r.used = 0, 0
	opts := eventstore.ReadOptions{Positions: positions, PageSize: len(positions), PageBytes: keptBytes}
	for e, err := range p.of.store.ReadAll(p.ctx, opts) {
		switch {
		case err != nil:
			return nil, err
		case e.Position == position:
			found = &e
			continue
		case r.bytes > keptBytes:
			return found, nil
		}
		r.kept[e.Position] = &e
		r.bytes += e.Size()
		r.read++
	}
	return found, nil
}
