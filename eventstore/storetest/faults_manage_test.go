package storetest

import (
	"context"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

var managementFaults = []fault{
	{"shows one event too many", func(b *broken) {
		b.onMetadata(func(_ string, m *eventstore.StreamMetadata) {
			if m.MaxCount > 0 {
				m.MaxCount++
			}
		})
	}, []string{"shows of a stream what its metadata leaves"}},

	{"works out the maximal count once", func(b *broken) {
		b.onMetadata(func(stream string, m *eventstore.StreamMetadata) {
			info, err := b.StreamInfo(context.Background(), stream)
			if err == nil && m.MaxCount > 0 {
				m.TruncateBefore, m.MaxCount = info.Version-m.MaxCount+1, 0
			}
			m.TruncateBefore = max(m.TruncateBefore, 0)
		})
	}, []string{"shows the last events as a stream grows"}},

	{"ignores the maximal age", func(b *broken) {
		b.onMetadata(func(_ string, m *eventstore.StreamMetadata) { m.MaxAge = 0 })
	}, []string{"hides events beyond their age"}},

	{"merges metadata", func(b *broken) {
		b.onMetadata(func(stream string, m *eventstore.StreamMetadata) {
			info, _ := b.StreamInfo(context.Background(), stream)
			m.MaxCount = max(m.MaxCount, info.Metadata.MaxCount)
		})
	}, []string{"replaces a stream's metadata as a whole"}},

	{"sets metadata only of streams that exist", func(b *broken) {
		b.setMetadata = func(ctx context.Context, stream string, m eventstore.StreamMetadata) error {
			if _, err := b.StreamInfo(ctx, stream); err != nil {
				return err
			}
			return b.Store.SetStreamMetadata(ctx, stream, m)
		}
	}, []string{"takes metadata before the stream", "writes metadata to the log as an event"}},

	{"judges by what it shows", func(b *broken) {
		b.onAppend(func(a *eventstore.StreamAppend) {
			shown, _ := collect(b.Store.ReadStream(context.Background(), a.Stream, eventstore.ReadOptions{}))
			if len(shown) == 0 && a.Expected == eventstore.NoStream {
				a.Expected = eventstore.Any
			}
		})
	}, []string{"judges appends by what is stored, not by what is shown"}},

	{"mends invalid metadata", func(b *broken) {
		b.onMetadata(func(_ string, m *eventstore.StreamMetadata) { m.MaxCount = max(m.MaxCount, 0) })
	}, []string{"refuses invalid metadata and streams"}},

	{"deletes from the log too", func(b *broken) {
		b.readAll = func(ctx context.Context, opts eventstore.ReadOptions) seq {
			return changed(b.Store.ReadAll(ctx, opts), func(e *eventstore.RecordedEvent) bool {
				info, err := b.StreamInfo(ctx, e.Stream)
				return err != nil || !info.Deleted
			})
		}
	}, []string{"hides a deleted stream from ReadStream and from nothing else"}},

	{"deletes whatever the version", func(b *broken) {
		b.delete = func(ctx context.Context, stream string, _ eventstore.ExpectedVersion) (eventstore.Appended, error) {
			return b.Store.DeleteStream(ctx, stream, eventstore.Any)
		}
	}, []string{"deletes under an expected version"}},

	{"deletes what is not there", func(b *broken) {
		b.delete = func(ctx context.Context, stream string, expected eventstore.ExpectedVersion) (eventstore.Appended, error) {
			done, err := b.Store.DeleteStream(ctx, stream, expected)
			if err != nil && expected == eventstore.Any {
				return b.Store.DeleteStream(ctx, stream, eventstore.NoStream)
			}
			return done, err
		}
	}, []string{"deletes only what is there, whatever the version"}},

	{"counts the versions of a new life from 0", func(b *broken) {
		b.onResult(func(ctx context.Context, _ []eventstore.StreamAppend, done []eventstore.Appended, err error) ([]eventstore.Appended, error) {
			for i := range done {
				info, _ := b.StreamInfo(ctx, done[i].Stream)
				done[i].Version -= info.FirstVersion
			}
			return done, err
		})
	}, []string{"creates a deleted stream again behind its last version"}},

	{"shows earlier lives", func(b *broken) {
		b.readStream = func(ctx context.Context, stream string, opts eventstore.ReadOptions) seq {
			if info, err := b.StreamInfo(ctx, stream); err != nil || info.Deleted {
				return b.Store.ReadStream(ctx, stream, opts)
			}
			return changed(b.Store.ReadAll(ctx, opts), func(e *eventstore.RecordedEvent) bool { return e.Stream == stream })
		}
	}, []string{"shows only the present life of a stream"}},

	{"takes a deleted stream for one that exists", func(b *broken) {
		b.onAppend(func(a *eventstore.StreamAppend) {
			info, err := b.StreamInfo(context.Background(), a.Stream)
			if err == nil && info.Deleted && a.Expected == eventstore.StreamExists {
				a.Expected = eventstore.Any
			}
		})
	}, []string{"judges appends to a deleted stream"}},

	{"forgets ids with the deletion", func(b *broken) {
		b.onAppend(func(a *eventstore.StreamAppend) {
			if info, err := b.StreamInfo(context.Background(), a.Stream); err == nil && info.FirstVersion > 0 {
				for i := range a.Events {
					a.Events[i].ID = uuid.New()
				}
			}
		})
	}, []string{"does not write a retry from before a deletion into the next life"}},

	{"deletes where it should tombstone", func(b *broken) { b.tomb = b.Store.DeleteStream },
		[]string{"refuses whatever is asked of a tombstoned stream", "tombstones under an expected version, and deleted streams too"}},

	{"tombstones whatever the version", func(b *broken) {
		b.tomb = func(ctx context.Context, stream string, _ eventstore.ExpectedVersion) (eventstore.Appended, error) {
			return b.Store.TombstoneStream(ctx, stream, eventstore.Any)
		}
	}, []string{"tombstones under an expected version, and deleted streams too"}},
}

// onMetadata replaces the metadata that is set.
func (b *broken) onMetadata(change func(string, *eventstore.StreamMetadata)) {
	b.setMetadata = func(ctx context.Context, stream string, m eventstore.StreamMetadata) error {
		change(stream, &m)
		return b.Store.SetStreamMetadata(ctx, stream, m)
	}
}
