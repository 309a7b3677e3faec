package projections

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/57528e99/recount/eventstore"
)

// pageSize is how many events are handed over at once: enough that handing over costs nothing, few
// enough that what is underway is small.
const pageSize = 1000

// page is a part of the log on its way to the shards.
type page[K comparable, Row any] struct {
	events []eventstore.RecordedEvent
	// ready is closed when parts is there.
	ready chan struct{}
	// parts has for each shard what its buckets get, in the order of the log.
	parts [][]part[K, Row]
}

// part is what one event does to one row.
type part[K comparable, Row any] struct {
	event  Recorded
	bucket int
	change *change[K, Row]
}

// pages hands over the events up to the target, page by page, until there are no more or none are
// wanted.
func (s pass) pages(ctx context.Context, hand func([]eventstore.RecordedEvent) (more bool, err error)) error {
	events := make([]eventstore.RecordedEvent, 0, pageSize)
	flush := func() (bool, error) {
		if s.read != nil {
			if err := s.read(len(events), events[len(events)-1].Position); err != nil {
				return false, err
			}
		}
		page := events
		events = make([]eventstore.RecordedEvent, 0, pageSize)
		return hand(page)
	}
	options := eventstore.ReadOptions{From: s.from, PageSize: pageSize, Filter: eventstore.Filter{Types: s.types}}
	for e, err := range s.log.ReadAll(ctx, options) {
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if e.Position > s.target {
			break
		}
		if events = append(events, e); len(events) < pageSize {
			continue
		}
		if more, err := flush(); err != nil || !more {
			return err
		}
	}
	if len(events) == 0 {
		return ctx.Err()
	}
	_, err := flush()
	return err
}

// decodePage computes what the events of a page do, as far as they can be decoded.
func (p *foldProjector[K, Row]) decodePage(s pass, page *page[K, Row], failed *firstFailure) (t tally) {
	defer close(page.ready)
	page.parts = make([][]part[K, Row], s.workers)
	for i := range page.events {
		e := &page.events[i]
		t = t.plus(tally{1, Digest{}.Add(e.Position, e.ID)})
		if s.skips[e.Position] {
			continue
		}
		cs, bad := p.decode(s.codec, e)
		if bad != nil {
			failed.add(bad)
			return t
		}
		for j := range cs {
			bucket := bucketOf(reflect.ValueOf(&cs[j].key).Elem(), s.buckets)
			if !s.want(bucket) {
				continue
			}
			to := &page.parts[bucket%s.workers]
			*to = append(*to, part[K, Row]{event: e, bucket: bucket, change: &cs[j]})
		}
	}
	return t
}

// decode returns what an event does.
func (p *foldProjector[K, Row]) decode(codec *eventstore.Codec, e Recorded) (changes[K, Row], *eventError) {
	value, err := decodeEvent(codec, e)
	var cs changes[K, Row]
	if err == nil {
		cs, err = p.changes(Decoded{Event: e, Value: value})
	}
	if err != nil {
		return nil, &eventError{event: e, err: err}
	}
	return cs, nil
}

// touch applies to the rows that m has or wants what an event does to them, and returns that.
func (p *foldProjector[K, Row]) touch(m *memory[K, Row], codec *eventstore.Codec, e Recorded) (changes[K, Row], error) {
	cs, bad := p.decode(codec, e)
	if bad != nil {
		return nil, bad
	}
	cs = slices.DeleteFunc(cs, func(c change[K, Row]) bool { return m.entries[c.key] == nil })
	if err := m.apply(cs, e.Position); err != nil {
		return nil, &eventError{event: e, err: err}
	}
	return cs, nil
}
