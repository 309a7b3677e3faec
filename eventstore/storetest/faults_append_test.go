package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

var appendFaults = []fault{
	{"declares abilities that it lacks", func(b *broken) {
		b.features = func() eventstore.Features { return eventstore.Features{MultiStreamAppend: true} }
	}, []string{"implements what it declares, and refuses what it does not"}},

	{"leaves gaps between positions", func(b *broken) {
		b.onRead(func(e *eventstore.RecordedEvent) bool { e.Position *= 2; return true })
	}, []string{"numbers positions 1, 2, 3 without gaps"}},

	{"does not close", func(b *broken) {
		b.close = func(context.Context) error { return nil }
	}, []string{"ends subscriptions and refuses calls with ErrClosed after Close"}},

	{"closes once only", func(b *broken) {
		var once sync.Once
		b.close = func(ctx context.Context) error {
			err := errors.New("closed already")
			once.Do(func() { err = b.Store.Close(ctx) })
			return err
		}
	}, []string{"ends subscriptions and refuses calls with ErrClosed after Close"}},

	{"turns the events of an append around", func(b *broken) {
		b.onAppend(func(a *eventstore.StreamAppend) { slices.Reverse(a.Events) })
	}, []string{"appends events in order behind what is there", "keeps a large append together"}},

	{"reports the version before", func(b *broken) {
		b.onResult(func(_ context.Context, _ []eventstore.StreamAppend, done []eventstore.Appended, err error) ([]eventstore.Appended, error) {
			for i := range done {
				done[i].Version--
			}
			return done, err
		})
	}, []string{"appends events in order behind what is there", "behaves like a list of events, whatever is done to it"}},

	{"lags behind with its head", func(b *broken) {
		b.head = func(ctx context.Context) (eventstore.Token, error) {
			head, err := b.Store.Head(ctx)
			head.Position = max(head.Position-1, 0)
			return head, err
		}
	}, []string{"shows an append to readers when it returns", "names its head by a token that travels as text"}},

	{"ignores the expected version where it writes nothing", func(b *broken) {
		b.onAppend(func(a *eventstore.StreamAppend) {
			if len(a.Events) == 0 {
				a.Expected = eventstore.Any
			}
		})
	}, []string{"appends to several streams all or nothing", "takes an append of no events that carries a receipt"}},

	{"refuses to check a stream that it writes nothing to", func(b *broken) {
		b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
			if opts.Receipt == nil && slices.ContainsFunc(appends, func(a eventstore.StreamAppend) bool { return len(a.Events) == 0 }) {
				return nil, &eventstore.InvalidError{Field: "events", Reason: "must have one or more"}
			}
			return b.Store.AppendStreams(ctx, appends, opts)
		}
	}, []string{"checks a stream that it writes nothing to", "appends to several streams all or nothing"}},

	{"ignores the expected version", func(b *broken) {
		b.onAppend(func(a *eventstore.StreamAppend) { a.Expected = eventstore.Any })
	}, []string{
		"accepts what meets the expected version and writes nothing otherwise", "never takes another append for a retry",
		"lets exactly one of many writers have a version", "behaves like a list of events, whatever is done to it",
	}},

	{"takes a demand that was not said for Any", func(b *broken) {
		b.onAppend(func(a *eventstore.StreamAppend) {
			if a.Expected == (eventstore.ExpectedVersion{}) {
				a.Expected = eventstore.Any
			}
		})
	}, []string{"accepts what meets the expected version and writes nothing otherwise"}},

	{"takes Exact for a lower bound", func(b *broken) {
		b.onAppend(func(a *eventstore.StreamAppend) {
			info, err := b.StreamInfo(context.Background(), a.Stream)
			if n, ok := a.Expected.Exact(); ok && err == nil && info.Version > n {
				a.Expected = eventstore.Any
			}
		})
	}, []string{"accepts what meets the expected version and writes nothing otherwise"}},

	{"writes part of what it refuses", func(b *broken) {
		b.onResult(func(ctx context.Context, appends []eventstore.StreamAppend, done []eventstore.Appended, err error) ([]eventstore.Appended, error) {
			if errors.Is(err, eventstore.ErrConflict) {
				_, _ = b.Store.AppendStreams(ctx, []eventstore.StreamAppend{streamAppend("half-1", eventstore.Any, event("half"))}, eventstore.AppendOptions{})
			}
			return done, err
		})
	}, []string{"accepts what meets the expected version and writes nothing otherwise"}},

	{"does not know the actual version", func(b *broken) {
		b.onResult(func(_ context.Context, _ []eventstore.StreamAppend, done []eventstore.Appended, err error) ([]eventstore.Appended, error) {
			var conflict *eventstore.ConflictError
			if errors.As(err, &conflict) {
				conflict.Actual = 0
			}
			return done, err
		})
	}, []string{"reports a conflict with the version that is there", "lets exactly one of many writers have a version"}},

	{"drops the end of a large append", func(b *broken) {
		b.onAppend(func(a *eventstore.StreamAppend) { a.Events = a.Events[:min(len(a.Events), 1000)] })
	}, []string{"keeps a large append together"}},

	{"has a clock that runs backwards", func(b *broken) {
		b.onRead(func(e *eventstore.RecordedEvent) bool {
			e.RecordedAt = e.RecordedAt.Add(-time.Duration(e.Position) * time.Second)
			return true
		})
	}, []string{"never moves the recorded time backwards"}},

	{"writes half when the context ends", func(b *broken) {
		b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
			if ctx.Err() != nil {
				appends[0].Events = appends[0].Events[:1]
				_, _ = b.Store.AppendStreams(context.WithoutCancel(ctx), appends, opts)
			}
			return b.Store.AppendStreams(ctx, appends, opts)
		}
	}, []string{"writes an append whose context has ended whole or not at all"}},

	{"ends data at NUL", func(b *broken) {
		b.onEvent(func(e *eventstore.Event) { e.Data, _, _ = bytes.Cut(e.Data, []byte{0}) })
	}, []string{"keeps data and metadata byte for byte"}},

	{"drops metadata", func(b *broken) {
		b.onEvent(func(e *eventstore.Event) { e.Metadata = nil })
	}, []string{"keeps data and metadata byte for byte", "shares no memory with its callers"}},

	{"takes all for JSON of version 1", func(b *broken) {
		b.onEvent(func(e *eventstore.Event) { e.ContentType, e.SchemaVersion = "", 0 })
	}, []string{"keeps what an event says of itself"}},

	{"gives anonymous events one id", func(b *broken) {
		b.onRead(func(e *eventstore.RecordedEvent) bool { e.ID = uuid.Max; return true })
	}, []string{"fills in the defaults of an event", "keeps what an event says of itself"}},

	{"cuts data at 64 KiB", func(b *broken) {
		b.onEvent(func(e *eventstore.Event) { e.Data = e.Data[:min(len(e.Data), 64<<10)] })
	}, []string{"keeps an event of half a megabyte", "refuses what is too big"}},

	{"folds the case of stream names", func(b *broken) {
		b.onAppend(func(a *eventstore.StreamAppend) { a.Stream = strings.ToLower(a.Stream) })
	}, []string{"keeps apart stream names that look alike"}},

	{"trims stream names", func(b *broken) {
		b.onAppend(func(a *eventstore.StreamAppend) { a.Stream = strings.TrimSpace(a.Stream) })
	}, []string{"keeps apart stream names that look alike"}},

	{"hands out the memory of its cache", func(b *broken) {
		cache := make(map[int64][]byte)
		b.onRead(func(e *eventstore.RecordedEvent) bool {
			if cache[e.Position] == nil {
				cache[e.Position] = e.Data
			}
			e.Data = cache[e.Position]
			return true
		})
	}, []string{"shares no memory with its callers"}},

	{"takes nothing from the engine", func(b *broken) {
		b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
			opts.System = false
			return b.Store.AppendStreams(ctx, appends, opts)
		}
	}, []string{"takes the engine's own events from the engine"}},

	{"mends what is invalid", func(b *broken) {
		b.onAppend(func(a *eventstore.StreamAppend) { a.Stream = strings.ToValidUTF8(a.Stream, "?") })
	}, []string{"refuses invalid appends and names the field"}},

	{"blames the wrong field", func(b *broken) {
		b.onResult(func(_ context.Context, _ []eventstore.StreamAppend, done []eventstore.Appended, err error) ([]eventstore.Appended, error) {
			var invalid *eventstore.InvalidError
			if errors.As(err, &invalid) {
				invalid.Field = "append"
			}
			return done, err
		})
	}, []string{"refuses invalid appends and names the field", "refuses what is too big"}},
}
