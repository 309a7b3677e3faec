package storetest

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/57528e99/recount/eventstore"
)

var readFaults = []fault{
	{"begins one too early backwards", func(b *broken) {
		b.onOptions(func(o *eventstore.ReadOptions) {
			if o.Backwards && o.From < math.MaxInt64 {
				o.From++
			}
		})
	}, []string{
		"reads a stream from any version, both ways, in pages of any size",
		"reads the log from any position, both ways, in pages of any size",
	}},

	{"ignores the limit", func(b *broken) {
		b.onOptions(func(o *eventstore.ReadOptions) { o.Limit = 0 })
	}, []string{
		"reads a stream from any version, both ways, in pages of any size", "picks events by type, category and stream prefix",
		"finds the few events that a filter picks among many", "behaves like a list of events, whatever is done to it",
		"refuses read options that make no sense",
	}},

	{"reads a stream without places in the log", func(b *broken) {
		b.readStream = func(ctx context.Context, stream string, opts eventstore.ReadOptions) seq {
			return changed(b.Store.ReadStream(ctx, stream, opts), func(e *eventstore.RecordedEvent) bool {
				e.Position = e.Version + 1
				return true
			})
		}
	}, []string{"reads the same events from a stream and from the log"}},

	{"takes a stream that it does not know for an empty one", func(b *broken) {
		b.readStream = func(ctx context.Context, stream string, opts eventstore.ReadOptions) seq {
			return without(b.Store.ReadStream(ctx, stream, opts), eventstore.ErrStreamNotFound)
		}
	}, []string{
		"finds no stream that was never written", "finds nothing under an invalid stream name",
		"takes metadata before the stream", "hides a deleted stream from ReadStream and from nothing else",
	}},

	{"holds a connection while it reads", func(b *broken) { b.pool(func() {}) }, []string{"holds nothing while its caller's code runs"}},

	{"loses a connection when a reader stops early", func(b *broken) {
		b.pool(func() { <-time.After(time.Hour) })
	}, []string{"takes a reader that stops early"}},

	{"ends a read in silence when its context ends", func(b *broken) {
		b.readStream = func(ctx context.Context, stream string, opts eventstore.ReadOptions) seq {
			return without(b.Store.ReadStream(ctx, stream, opts), context.Canceled)
		}
	}, []string{"ends a read with the error of its context"}},

	{"follows the log as it reads", func(b *broken) {
		b.readAll = func(ctx context.Context, opts eventstore.ReadOptions) seq {
			return func(yield func(eventstore.RecordedEvent, error) bool) {
				for more := true; more; {
					more = false
					for e, err := range b.Store.ReadAll(ctx, opts) {
						if more = true; !yield(e, err) || err != nil {
							return
						}
						opts.From = e.Position + 1
					}
				}
			}
		}
	}, []string{"reads the log as far as it reached when reading began"}},

	{"reads all behind the first position that is named", func(b *broken) {
		b.readAll = func(ctx context.Context, opts eventstore.ReadOptions) seq {
			if len(opts.Positions) > 0 && opts.ValidateReadAll() == nil {
				opts.From, opts.Positions = opts.Positions[0], nil
			}
			return b.Store.ReadAll(ctx, opts)
		}
	}, []string{"reads the events at some positions"}},

	{"takes an empty log for an error", func(b *broken) {
		b.readAll = func(ctx context.Context, opts eventstore.ReadOptions) seq {
			if head, _ := b.Store.Head(ctx); head.Position == 0 {
				return func(yield func(eventstore.RecordedEvent, error) bool) {
					yield(eventstore.RecordedEvent{}, eventstore.ErrUnavailable)
				}
			}
			return b.Store.ReadAll(ctx, opts)
		}
	}, []string{"reads nothing from an empty log"}},

	{"begins at a token, not behind it", func(b *broken) {
		b.onOptions(func(o *eventstore.ReadOptions) {
			if !o.After.IsZero() {
				o.From, o.After = o.After.Position, eventstore.Token{}
			}
		})
	}, []string{
		"begins behind a token, or before it when reading backwards", "refuses a token of another log",
		"appends to several streams as one append", "refuses read options that make no sense",
	}},

	{"has tokens that do not travel", func(b *broken) {
		b.head = func(ctx context.Context) (eventstore.Token, error) {
			head, err := b.Store.Head(ctx)
			head.Incarnation = -1
			return head, err
		}
	}, []string{"names its head by a token that travels as text"}},

	{"takes a category for a prefix", func(b *broken) {
		b.onOptions(func(o *eventstore.ReadOptions) {
			o.Filter.StreamPrefixes = append(o.Filter.StreamPrefixes, o.Filter.Categories...)
			o.Filter.Categories = nil
		})
	}, []string{"picks events by type, category and stream prefix", "subscribes to what a filter picks"}},

	{"ends at a page of which the filter picks nothing", func(b *broken) {
		b.readAll = func(ctx context.Context, opts eventstore.ReadOptions) seq {
			f := opts.Filter
			opts.Filter, opts.Limit = eventstore.Filter{}, 0
			return func(yield func(eventstore.RecordedEvent, error) bool) {
				missed := 0
				for e, err := range b.Store.ReadAll(ctx, opts) {
					if err == nil && !f.Match(e.Type, e.Stream) {
						if missed++; missed > 30 {
							return
						}
						continue
					}
					if missed = 0; !yield(e, err) {
						return
					}
				}
			}
		}
	}, []string{"finds the few events that a filter picks among many"}},

	{"hides system events", func(b *broken) {
		b.onRead(func(e *eventstore.RecordedEvent) bool { return e.Type[0] != '$' })
	}, []string{"picks system events like any other", "writes metadata to the log as an event"}},

	{"lists the contents of an empty log as an error", func(b *broken) {
		b.contents = func(ctx context.Context) ([]eventstore.Content, error) {
			all, err := b.Store.Contents(ctx)
			if len(all) == 0 {
				err = eventstore.ErrUnavailable
			}
			return all, err
		}
	}, []string{"lists nothing in an empty log"}},

	{"takes all schema versions for one", func(b *broken) {
		b.contents = func(ctx context.Context) ([]eventstore.Content, error) {
			all, err := b.Store.Contents(ctx)
			return slices.DeleteFunc(all, func(c eventstore.Content) bool { return c.SchemaVersion > 1 }), err
		}
	}, []string{"lists the types, schema versions and categories that ReadAll yields"}},

	{"lists what its users have written only", func(b *broken) {
		b.contents = func(ctx context.Context) ([]eventstore.Content, error) {
			all, err := b.Store.Contents(ctx)
			return slices.DeleteFunc(all, func(c eventstore.Content) bool { return c.Type[0] == '$' }), err
		}
	}, []string{"lists what the store has written itself"}},

	{"knows no other types", func(b *broken) {
		b.onOptions(func(o *eventstore.ReadOptions) { o.Filter.Others = nil })
	}, []string{"picks events by type, category and stream prefix", "subscribes to what a filter picks", "picks system events like any other"}},
}

// without ends a sequence in silence where it ends with the given error.
func without(inner seq, silent error) seq {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		for e, err := range inner {
			if errors.Is(err, silent) || !yield(e, err) {
				return
			}
		}
	}
}

// pool makes ReadAll hold one of a few connections. Broken is called when the
// reader stops early, before the connection is given back.
func (b *broken) pool(broken func()) {
	connections := make(chan struct{}, 10)
	b.readAll = func(ctx context.Context, opts eventstore.ReadOptions) seq {
		return func(yield func(eventstore.RecordedEvent, error) bool) {
			select {
			case connections <- struct{}{}:
			case <-time.After(time.Minute):
				yield(eventstore.RecordedEvent{}, eventstore.ErrUnavailable)
				return
			}
			giveBack := func() { <-connections }
			for e, err := range b.Store.ReadAll(ctx, opts) {
				if !yield(e, err) {
					go func() { broken(); giveBack() }()
					return
				}
			}
			giveBack()
		}
	}
}
