package commands

import (
	"context"
	"errors"
	"fmt"

	"github.com/57528e99/recount/eventstore"
)

// Appender appends events that were decided elsewhere, to streams that are of no aggregate of the program. It is safe for
// concurrent use, and starts no goroutines.
type Appender struct{ *writer }

// NewAppender returns an Appender to a store.
func NewAppender(store eventstore.Store) *Appender {
	return &Appender{newWriter(store, "to stream", "", nil)}
}

// Append writes the events, all or none, if each stream is as its append demands. Options.Expected is of no account. Events
// without metadata have those that commands write. The result is like that of a unit over the streams in their order; Duplicate says that
// events were stored before by their ids. A dry run judges what each append demands.
//
// Errors are those of eventstore.Appender, and *eventstore.ReceiptMismatchError.
func (w *Appender) Append(ctx context.Context, appends []eventstore.StreamAppend, o Options) (Result, error) {
	return w.run(ctx, appends, o, func(r *request) (outcome, error) {
		return w.append(ctx, *r, appends, nil)
	})
}

// AppendOnce is eventstore.AppendOnce with the metadata of Append. Options.Receipt must not be set: an append has one.
func (w *Appender) AppendOnce(ctx context.Context, a eventstore.StreamAppend, d eventstore.Dedup, o Options) (Result, error) {
	if o.Receipt != nil {
		return Result{}, &eventstore.InvalidError{Field: "receipt", Reason: "must not be given beside a key of deduplication"}
	}
	if w.receipts == nil {
		return Result{}, fmt.Errorf("deduplicate an append to stream %q: %w", a.Stream, eventstore.ErrNotSupported)
	}
	appends := []eventstore.StreamAppend{a}
	return w.run(ctx, appends, o, func(*request) (outcome, error) {
		done, err := eventstore.AppendOnce(ctx, w.store, appends[0], d)
		return outcome{appended: []eventstore.Appended{done}}, err
	})
}

func (w *Appender) run(ctx context.Context, appends []eventstore.StreamAppend, o Options, run func(*request) (outcome, error)) (Result, error) {
	if err := (eventstore.Limits{}).Validate(appends, eventstore.AppendOptions{}); err != nil {
		return Result{}, err
	}
	if len(appends) > 1 && !w.store.Features().MultiStreamAppend {
		return Result{}, fmt.Errorf("append to several streams: %w", eventstore.ErrNotSupported)
	}
	return w.handle(ctx, appends[0].Stream, o, func(r *request) (outcome, error) {
		for i := range appends {
			for j := range appends[i].Events {
				if e := &appends[i].Events[j]; e.Metadata == nil {
					e.Metadata = r.metadata
				}
			}
		}
		if r.DryRun {
			if err := w.judge(ctx, appends); err != nil {
				return outcome{}, err
			}
			return w.answerOnly(ctx, *r, appends, nil)
		}
		return run(r)
	})
}

// judge checks what appends demand of their streams. Later ones see earlier ones.
func (w *Appender) judge(ctx context.Context, appends []eventstore.StreamAppend) error {
	manager, ok := w.store.(eventstore.StreamManager)
	if !ok {
		return nil
	}
	known := make(map[string]*eventstore.StreamInfo)
	for _, a := range appends {
		info := known[a.Stream]
		if info == nil {
			now, err := manager.StreamInfo(ctx, a.Stream)
			switch {
			case errors.Is(err, eventstore.ErrStreamNotFound):
				now.Version = -1
			case err != nil:
				return fmt.Errorf("look at stream %q: %w", a.Stream, err)
			case now.Tombstoned:
				return &eventstore.StreamDeletedError{Stream: a.Stream, Tombstoned: true}
			}
			info = &now
			known[a.Stream] = info
		}
		if !a.Expected.Accepts(info.Version, info.Deleted) {
			return &eventstore.ConflictError{Stream: a.Stream, Expected: a.Expected, Actual: info.Version}
		}
		info.Version += int64(len(a.Events))
		info.Deleted = info.Deleted && len(a.Events) == 0
	}
	return nil
}
