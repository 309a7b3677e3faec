package projections

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// pageSize is how many events are handed over at once: enough that handing over costs nothing, few
// enough that what is underway is small.
const pageSize = 1000

// page is a part of the log on its way to the shards of the passes that read it.
type page struct {
	events []eventstore.RecordedEvent
	// values are those of the events that were decoded for all passes.
	values []decodedValue
	// parts has what each pass makes of the events; nil: the pass needs no more.
	parts []any
	// ready is closed when parts is there.
	ready chan struct{}
}

// decodedValue is the value of an event, or why it has none.
type decodedValue struct {
	done  bool
	value any
	err   error
}

// value returns the value of an event: the one that passes share or, for a fold whose rows may keep
// a part of it and change that, one of its own.
func (p *page) value(codec *eventstore.Codec, i int, own bool) (any, error) {
	if own {
		return decodeEvent(codec, &p.events[i])
	}
	v := &p.values[i]
	if !v.done {
		v.done = true
		v.value, v.err = decodeEvent(codec, &p.events[i])
	}
	return v.value, v.err
}

// parts is what one pass makes of a page.
type parts[K comparable, Row any] struct {
	// counted are the events of the pass, whether or not they are skipped.
	counted eventstore.Tally
	// of has for each shard what its buckets get, in the order of the log.
	of [][]part[K, Row]
}

// part is what one event does to one row.
type part[K comparable, Row any] struct {
	event  Recorded
	bucket int
	change *change[K, Row]
}

// readPages hands over the events up to a position, page by page, until there are no more or none
// are wanted. A page has no more events and bytes than o says, but for one event that is larger.
// Foreign events are left out.
func readPages(ctx context.Context, log eventstore.Reader, knows *vocabulary, o eventstore.ReadOptions, upTo int64, hand func([]eventstore.RecordedEvent) (more bool, err error)) error {
	var events []eventstore.RecordedEvent
	bytes := 0
	for e, err := range log.ReadAll(ctx, o) {
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if e.Position > upTo {
			break
		}
		if foreign, err := knows.isForeign(ctx, &e); err != nil {
			return err
		} else if foreign {
			continue
		}
		if n := len(events); n == o.PageSize || n > 0 && bytes+e.Size() > o.PageBytes {
			if more, err := hand(events); err != nil || !more {
				return err
			}
			events, bytes = make([]eventstore.RecordedEvent, 0, n), 0
		}
		events, bytes = append(events, e), bytes+e.Size()
	}
	if len(events) == 0 {
		return ctx.Err()
	}
	_, err := hand(events)
	return err
}

// pages hands over the events of the pass.
func (s pass) pages(ctx context.Context, hand func([]eventstore.RecordedEvent) (more bool, err error)) error {
	return readPages(ctx, s.log, s.knows, s.options(), s.target, func(events []eventstore.RecordedEvent) (bool, error) {
		if s.read != nil {
			if err := s.read(len(events), len(events), events[len(events)-1].Position); err != nil {
				return false, err
			}
		}
		return hand(events)
	})
}

// decodePage computes what the events of a page do, as far as they can be decoded.
func (p *foldProjector[K, Row]) decodePage(s pass, page *page, failed *firstFailure) *parts[K, Row] {
	done := &parts[K, Row]{of: make([][]part[K, Row], s.workers)}
	keeps := p.layout.keepsParts()
	for i := range page.events {
		e := &page.events[i]
		if !s.includes(e) {
			continue
		}
		done.counted = done.counted.Add(e.Position, e.ID)
		if s.skips[e.Position] {
			continue
		}
		value, err := page.value(s.codec, i, keeps)
		var cs changes[K, Row]
		if err == nil {
			cs, err = p.changes(Decoded{Event: e, Value: value})
		}
		if err != nil {
			failed.add(&eventError{event: e, err: err})
			break
		}
		for j := range cs {
			bucket := bucketOf(reflect.ValueOf(&cs[j].key).Elem(), s.buckets)
			if !s.want(bucket) {
				continue
			}
			to := &done.of[bucket%s.workers]
			*to = append(*to, part[K, Row]{event: e, bucket: bucket, change: &cs[j]})
		}
	}
	return done
}

// touch applies to the rows that m has or wants what an event does to them, and returns that.
func (p *foldProjector[K, Row]) touch(m *memory[K, Row], codec *eventstore.Codec, e Recorded) (changes[K, Row], error) {
	cs, err := p.decode(codec, e)
	if err != nil {
		return nil, err
	}
	cs = slices.DeleteFunc(cs, func(c change[K, Row]) bool { return m.entries[c.key] == nil })
	if err := m.apply(cs, e.Position); err != nil {
		return nil, &eventError{event: e, err: err}
	}
	return cs, nil
}

// decode returns what an event does.
func (p *foldProjector[K, Row]) decode(codec *eventstore.Codec, e Recorded) (cs changes[K, Row], err error) {
	value, err := decodeEvent(codec, e)
	if err == nil {
		cs, err = p.changes(Decoded{Event: e, Value: value})
	}
	if err != nil {
		return nil, &eventError{event: e, err: err}
	}
	return cs, nil
}

// sizeOf estimates the memory that v refers to, in bytes, beside its own size.
func sizeOf(v reflect.Value) int64 {
	switch v.Kind() {
	case reflect.String:
		return int64(v.Len())
	case reflect.Pointer:
		if v.IsNil() {
			return 0
		}
		return int64(v.Type().Elem().Size()) + sizeOf(v.Elem())
	case reflect.Slice:
		return int64(v.Cap())*int64(v.Type().Elem().Size()) + sizeOfElements(v)
	case reflect.Array:
		return sizeOfElements(v)
	case reflect.Map:
		const overhead = 16
		size := int64(v.Len()) * (int64(v.Type().Key().Size()+v.Type().Elem().Size()) + overhead)
		for entry := v.MapRange(); entry.Next(); {
			size += sizeOf(entry.Key()) + sizeOf(entry.Value())
		}
		return size
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return 0 // its location is shared
		}
		var size int64
		for i := range v.NumField() {
			size += sizeOf(v.Field(i))
		}
		return size
	default:
		return 0
	}
}

func sizeOfElements(v reflect.Value) int64 {
	switch v.Type().Elem().Kind() {
	case reflect.String, reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
		var size int64
		for i := range v.Len() {
			size += sizeOf(v.Index(i))
		}
		return size
	default:
		return 0
	}
}
