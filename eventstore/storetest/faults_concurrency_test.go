package storetest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

var concurrencyFaults = []fault{
	{"appends to one stream after the other", func(b *broken) {
		b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
			var all []eventstore.Appended
			for _, a := range appends {
				done, err := b.Store.AppendStreams(ctx, []eventstore.StreamAppend{a}, opts)
				if err != nil {
					return nil, err
				}
				all = append(all, done...)
			}
			return all, nil
		}
	}, []string{
		"appends to several streams as one append", "appends to several streams all or nothing",
		"refuses an append to several streams of which a part is known", "bounds an append to several streams as a whole",
		"moves between streams without deadlock or loss", "keeps one receipt for several streams",
	}},

	{"judges every part by the state before", func(b *broken) {
		b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
			for i, a := range appends {
				_, err := b.StreamInfo(ctx, a.Stream)
				if _, exact := a.Expected.Exact(); i > 0 && exact && errors.Is(err, eventstore.ErrStreamNotFound) {
					return nil, &eventstore.ConflictError{Stream: a.Stream, Expected: a.Expected, Actual: -1}
				}
			}
			return b.Store.AppendStreams(ctx, appends, opts)
		}
	}, []string{"lets a later append to a stream see an earlier one"}},

	{"checks the version before it has the lock", func(b *broken) {
		b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
			a := appends[0]
			version := int64(-1)
			if info, err := b.StreamInfo(ctx, a.Stream); err == nil {
				version = info.Version
			}
			if !a.Expected.Accepts(version, false) {
				return b.Store.AppendStreams(ctx, appends, opts)
			}
			<-time.After(time.Millisecond)
			a.Expected = eventstore.Any
			return b.Store.AppendStreams(ctx, []eventstore.StreamAppend{a}, opts)
		}
	}, []string{"lets exactly one of many writers have a version"}},

	{"looks ids up before it has the lock", func(b *broken) {
		b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
			a := appends[0]
			for e := range b.Store.ReadStream(ctx, a.Stream, eventstore.ReadOptions{}) {
				if len(a.Events) > 0 && e.ID == a.Events[0].ID {
					return b.Store.AppendStreams(ctx, appends, opts)
				}
			}
			<-time.After(time.Millisecond)
			events := append([]eventstore.Event(nil), a.Events...)
			if a.Expected == eventstore.Any {
				for i := range events {
					events[i].ID = uuid.New()
				}
			}
			a.Events = events
			return b.Store.AppendStreams(ctx, []eventstore.StreamAppend{a}, opts)
		}
	}, []string{"stores one of many appends that carry the same ids"}},

	{"loses one append of many that it acknowledged", func(b *broken) {
		var n atomic.Int64
		b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
			if n.Add(1) == 9 {
				return make([]eventstore.Appended, len(appends)), nil
			}
			return b.Store.AppendStreams(ctx, appends, opts)
		}
	}, []string{
		"keeps every append of many writers, in the order of each", "moves between streams without deadlock or loss",
		"yields everything once and in order while others write", "lets what was read once stand while others write",
	}},
}
