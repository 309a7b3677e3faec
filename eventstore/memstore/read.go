package memstore

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/57528e99/recount/eventstore"
)

// ReadStream implements eventstore.Reader.
func (s *Store) ReadStream(ctx context.Context, name string, opts eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		v, err := s.viewStream(ctx, name, opts)
		if err != nil {
			yield(eventstore.RecordedEvent{}, fmt.Errorf("read stream %q: %w", name, err))
			return
		}
		v.walk(ctx, opts, yield)
	}
}

// ReadAll implements eventstore.Reader.
func (s *Store) ReadAll(ctx context.Context, opts eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		v, err := s.viewAll(ctx, opts)
		if err != nil {
			yield(eventstore.RecordedEvent{}, fmt.Errorf("read log: %w", err))
			return
		}
		v.walk(ctx, opts, yield)
	}
}

// view is what one read may see: a copy of slice headers, so that it costs no
// lock to walk it however long the caller takes.
type view struct {
	// from is where to begin; low and high are the first and the last index
	// to see.
	from, low, high int64
	at              func(index int64) eventstore.RecordedEvent
	shown           func(eventstore.RecordedEvent) bool
}

func (s *Store) viewStream(ctx context.Context, name string, opts eventstore.ReadOptions) (view, error) {
	if err := opts.ValidateReadStream(); err != nil {
		return view{}, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return view{}, err
	}
	defer unlock()
	info, err := s.streamInfo(name)
	if err != nil {
		return view{}, err
	}
	if info.Deleted {
		return view{}, &eventstore.StreamDeletedError{Stream: name, Tombstoned: info.Tombstoned}
	}
	log, positions := s.log, s.streams[name].positions
	now := s.now()
	return view{
		from: opts.From, low: info.FirstShown(), high: info.Version,
		at:    func(version int64) eventstore.RecordedEvent { return log[positions[version]-1] },
		shown: func(e eventstore.RecordedEvent) bool { return info.Visible(&e, now) },
	}, nil
}

func (s *Store) viewAll(ctx context.Context, opts eventstore.ReadOptions) (view, error) {
	if err := opts.ValidateReadAll(); err != nil {
		return view{}, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return view{}, err
	}
	defer unlock()
	from, err := s.from(opts)
	if err != nil {
		return view{}, err
	}
	log := s.log
	if opts.Positions != nil {
		there, _ := slices.BinarySearch(opts.Positions, int64(len(log))+1)
		return view{
			high:  int64(there) - 1,
			at:    func(i int64) eventstore.RecordedEvent { return log[opts.Positions[i]-1] },
			shown: func(eventstore.RecordedEvent) bool { return true },
		}, nil
	}
	return view{
		from: from, low: 1, high: int64(len(log)),
		at:    func(position int64) eventstore.RecordedEvent { return log[position-1] },
		shown: func(e eventstore.RecordedEvent) bool { return opts.Filter.Match(e.Type, e.Stream) },
	}, nil
}

// from returns the position to begin at, with After taken into account.
func (s *Store) from(opts eventstore.ReadOptions) (int64, error) {
	after, head := opts.After, s.head()
	switch {
	case after.IsZero():
		return opts.From, nil
	case after.Log != s.id:
		return 0, &eventstore.LogChangedError{Token: after, Head: head, LastCommon: -1}
	case after.Incarnation != head.Incarnation || after.Position > head.Position:
		return 0, &eventstore.LogChangedError{Token: after, Head: head, LastCommon: head.Position}
	case opts.Backwards:
		return after.Position - 1, nil
	default:
		return after.Position + 1, nil
	}
}

func (v view) walk(ctx context.Context, opts eventstore.ReadOptions, yield func(eventstore.RecordedEvent, error) bool) {
	i, step := max(v.from, v.low), int64(1)
	if opts.Backwards {
		i, step = min(v.from, v.high), -1
	}
	for yielded := int64(0); v.low <= i && i <= v.high; i += step {
		e := v.at(i)
		if !v.shown(e) {
			continue
		}
		if err := ctx.Err(); err != nil {
			yield(eventstore.RecordedEvent{}, err)
			return
		}
		e.Event = cloned(e.Event)
		if yielded++; !yield(e, nil) || yielded == opts.Limit {
			return
		}
	}
}
