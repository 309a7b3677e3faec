package delivery

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/eventstore"
)

// pullEvents are events that were found lately, to be handed out soon.
type pullEvents struct {
	mu    sync.Mutex
	byPos map[int64]*eventstore.RecordedEvent
	order []int64
	bytes int
}

func (p *pullEvents) add(found []offered) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byPos == nil {
		p.byPos = make(map[int64]*eventstore.RecordedEvent)
	}
	for _, o := range found {
		if p.byPos[o.event.Position] != nil {
			continue
		}
		p.byPos[o.event.Position] = o.event
		p.order, p.bytes = append(p.order, o.event.Position), p.bytes+o.event.Size()
	}
	for len(p.order) > recentEvents || p.bytes > recentBytes && len(p.order) > 1 {
		p.bytes -= p.byPos[p.order[0]].Size()
		delete(p.byPos, p.order[0])
		p.order = p.order[1:]
	}
}

// clear forgets all: the positions are those of other events.
func (p *pullEvents) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byPos, p.order, p.bytes = nil, nil, 0
}

func (p *pullEvents) get(position int64) *eventstore.RecordedEvent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byPos[position]
}

// events returns what a caller gets, and how many of its rows that are: those beyond are to be given back.
func (q *pullQueue) events(ctx context.Context, call *pullCall) (all []Pulled, kept int, err error) {
	found := make(map[int64]*eventstore.RecordedEvent, len(call.rows))
	var missing []int64
	for i := range call.rows {
		if e := q.recent.get(call.rows[i].Position); e != nil {
			found[e.Position] = e
		} else {
			missing = append(missing, call.rows[i].Position)
		}
	}
	upto, size := int64(math.MaxInt64), 0
	if len(missing) > 0 {
		for e, err := range call.store.ReadAll(ctx, eventstore.ReadOptions{Positions: missing}) {
			if err != nil {
				return nil, 0, fmt.Errorf("read the log: %w", err)
			}
			found[e.Position] = &e
			if size += e.Size(); size > maxPullBytes {
				upto = e.Position // more than one gets
				break
			}
		}
	}
	size = 0
	for i := range call.rows {
		row := &call.rows[i]
		e := found[row.Position]
		switch {
		case e == nil && row.Position > upto:
			return all, i, nil
		case e == nil:
			return nil, 0, fmt.Errorf("the log has no event at position %d: %w", row.Position, eventstore.ErrUnavailable)
		}
		if size += e.Size(); i > 0 && size > maxPullBytes {
			return all, i, nil
		}
		all = append(all, Pulled{
			Token: pullToken{q.id, row.Position, row.Token}.String(), Deadline: row.Deadline,
			Event: Event{RecordedEvent: e, MessageID: MessageID(call.log, e), Key: row.Key, Attempt: row.Attempts, Redrive: row.Redrive},
		})
	}
	return all, len(call.rows), nil
}

// told keeps and tells what became of events that were handed out.
func (q *pullQueue) told(items []*pullItem) {
	for _, it := range items {
		if it.row == nil || it.result.Outcome != TokenSettled && it.result.Token != "" || it.op > opNack {
			continue
		}
		done := it.op == opAck
		if done {
			q.delivered++
		}
		o := Observation{Subscription: q.name, Events: 1, Kind: "pull", Duration: max(q.feed.At.Sub(it.row.LeasedAt), 0)}
		a := attempt{Subscription: q.id, Position: it.row.Position, Attempt: it.row.Attempts, At: it.row.LeasedAt, Took: o.Duration, Outcome: core.Done.String()}
		if e := q.recent.get(it.row.Position); e != nil {
			o.Lag = max(time.Since(e.RecordedAt), 0)
		}
		if done {
			o.Delivered = 1
		} else {
			if it.op == opNack && it.row.State != leased && !it.nack.Permanent {
				continue // the attempt was told of when its lease ran out
			}
			a.Outcome, a.Charged, a.Class, a.Error = core.Transient.String(), it.charged, it.class, it.nack.Error
			if o.Err = error(pullError(it.nack.Error)); it.nack.Permanent {
				a.Outcome, o.Err = core.Permanent.String(), Permanent(o.Err)
			}
		}
		if !done || q.definition.LogAttempts == LogAll {
			q.attempts.add(a)
		}
		if q.b.config.Observe != nil {
			q.b.config.Observe(o)
		}
	}
}

// pullError is what a consumer said of an event.
type pullError string

func (e pullError) Error() string { return string(e) }

// writeAttempts writes down attempts that are kept.
func (q *pullQueue) writeAttempts(ctx context.Context) error {
	for {
		some := q.attempts.take(attemptsAtOnce)
		if len(some) == 0 {
			return nil
		}
		if err := q.b.records.recordAttempts(ctx, q.b.config.Process, some); err != nil {
			q.attempts.putBack(some)
			return err
		}
	}
}
