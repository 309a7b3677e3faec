package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

var idempotencyFaults = []fault{
	{"loses ids", func(b *broken) {
		b.onEvent(func(e *eventstore.Event) { e.ID = uuid.Nil })
	}, []string{
		"answers a retry with the first result, whatever the expected version", "answers a retry when others have appended since",
		"refuses a known id behind an expected version that is met", "stores one of many appends that carry the same ids",
		"answers a retry of an append to several streams", "behaves like a list of events, whatever is done to it",
		"does not write a retry from before a deletion into the next life",
	}},

	{"does not say that a retry is one", func(b *broken) {
		b.onResult(func(_ context.Context, _ []eventstore.StreamAppend, done []eventstore.Appended, err error) ([]eventstore.Appended, error) {
			for i := range done {
				done[i].Duplicate = false
			}
			return done, err
		})
	}, []string{"answers a retry with the first result, whatever the expected version", "stores one of many appends that carry the same ids"}},

	{"answers a retry with the present version", func(b *broken) {
		b.onResult(func(ctx context.Context, _ []eventstore.StreamAppend, done []eventstore.Appended, err error) ([]eventstore.Appended, error) {
			for i := range done {
				if info, infoErr := b.StreamInfo(ctx, done[i].Stream); infoErr == nil && done[i].Duplicate {
					done[i].Version = info.Version
				}
			}
			return done, err
		})
	}, []string{"answers a retry when others have appended since", "answers a retry of an append to several streams"}},

	{"remembers the ids of refused appends", func(b *broken) {
		refused := make(map[uuid.UUID]bool)
		b.onResult(func(_ context.Context, appends []eventstore.StreamAppend, done []eventstore.Appended, err error) ([]eventstore.Appended, error) {
			for i, a := range appends {
				for _, e := range a.Events {
					if err == nil && refused[e.ID] {
						done[i].Duplicate = true
					}
					refused[e.ID] = refused[e.ID] || err != nil
				}
			}
			return done, err
		})
	}, []string{"writes a refused append when it is tried again at the right version"}},

	{"takes what it finds at the expected place for the append", func(b *broken) {
		b.onResult(func(_ context.Context, appends []eventstore.StreamAppend, done []eventstore.Appended, err error) ([]eventstore.Appended, error) {
			n, exact := appends[0].Expected.Exact()
			if exact && errors.Is(err, eventstore.ErrConflict) {
				return []eventstore.Appended{{Stream: appends[0].Stream, Version: n + 1, Duplicate: true}}, nil
			}
			return done, err
		})
	}, []string{"never takes another append for a retry"}},

	{"compares metadata", func(b *broken) {
		metadata := make(map[uuid.UUID][]byte)
		b.onResult(func(_ context.Context, appends []eventstore.StreamAppend, done []eventstore.Appended, err error) ([]eventstore.Appended, error) {
			for _, e := range appends[0].Events {
				if known, ok := metadata[e.ID]; ok && !bytes.Equal(known, e.Metadata) {
					return nil, &eventstore.IDReusedError{Stream: appends[0].Stream, ID: e.ID, Reason: "it has other metadata"}
				}
				metadata[e.ID] = e.Metadata
			}
			return done, err
		})
	}, []string{"takes other metadata for a retry all the same"}},

	{"compares ids only", func(b *broken) {
		b.onResult(func(_ context.Context, appends []eventstore.StreamAppend, done []eventstore.Appended, err error) ([]eventstore.Appended, error) {
			if errors.Is(err, eventstore.ErrIDReused) {
				return []eventstore.Appended{{Stream: appends[0].Stream, Duplicate: true}}, nil
			}
			return done, err
		})
	}, []string{
		"refuses an id that is stored with other content", "refuses an append of which only a part is known",
		"refuses a known id behind an expected version that is met",
	}},

	{"writes what it does not know of an append", func(b *broken) {
		b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
			done, err := b.Store.AppendStreams(ctx, appends, opts)
			if !errors.Is(err, eventstore.ErrIDReused) {
				return done, err
			}
			var unknown []eventstore.StreamAppend
			for _, a := range appends {
				stored, _ := collect(b.Store.ReadStream(ctx, a.Stream, eventstore.ReadOptions{}))
				a.Expected = eventstore.Any
				a.Events = slices.DeleteFunc(slices.Clone(a.Events), func(e eventstore.Event) bool {
					return slices.ContainsFunc(stored, func(r eventstore.RecordedEvent) bool { return r.ID == e.ID })
				})
				if len(a.Events) > 0 {
					unknown = append(unknown, a)
				}
			}
			if len(unknown) == 0 {
				return done, err
			}
			return b.Store.AppendStreams(ctx, unknown, opts)
		}
	}, []string{
		"refuses an append of which only a part is known", "refuses a known id behind an expected version that is met",
		"refuses an append to several streams of which a part is known",
	}},

	{"knows only the first id of an append", func(b *broken) {
		b.onAppend(func(a *eventstore.StreamAppend) {
			for i := range a.Events {
				if i > 0 && a.Events[i].ID != uuid.Nil {
					a.Events[i].ID = uuid.New()
				}
			}
		})
	}, []string{"never writes a known id again, however appends are cut"}},

	{"keeps ids unique in the whole log", func(b *broken) {
		streams := make(map[uuid.UUID]string)
		b.onResult(func(_ context.Context, appends []eventstore.StreamAppend, done []eventstore.Appended, err error) ([]eventstore.Appended, error) {
			for _, e := range appends[0].Events {
				if known, ok := streams[e.ID]; ok && known != appends[0].Stream {
					return nil, &eventstore.IDReusedError{Stream: known, ID: e.ID, Reason: "it is in another stream"}
				}
				streams[e.ID] = appends[0].Stream
			}
			return done, err
		})
	}, []string{"scopes ids to their stream"}},

	{"makes ids from content", func(b *broken) {
		b.onEvent(func(e *eventstore.Event) {
			if e.ID == uuid.Nil {
				e.ID = uuid.NewSHA1(uuid.NameSpaceOID, append([]byte(e.Type), e.Data...))
			}
		})
	}, []string{"never takes events without ids for a retry"}},
}
