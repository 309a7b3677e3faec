package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/57528e99/recount/eventstore"
)

var followClauses = []clause{
	{"yields everything once and in order while others write", always, followsWriters},
	{"shows appends whole to readers while others write", always, showsWholeAppends},
	{"lets what was read once stand while others write", always, readsStablePrefix},
}

const (
	writers       = 6
	writerAppends = 15
)

// write makes writers append at once, in pieces of one to five events, by turns
// to a stream of their own and to a common one. It returns how many events that
// makes, and what to receive when they are done.
func (f *fixture) write() (events int, written <-chan error) {
	piece := func(w, i int) int { return 1 + (w+i)%5 }
	for w := range writers {
		for i := range writerAppends {
			events += piece(w, i)
		}
	}
	done := make(chan error, 1)
	go func() {
		done <- together(writers, func(w int) error {
			streams := []string{fmt.Sprint("own-", w), "common-1"}
			for i := range writerAppends {
				list := numbered(fmt.Sprint(w, ".", i, "."), piece(w, i))
				if _, err := f.tryAppend(streams[i%2], eventstore.Any, list...); err != nil {
					return fmt.Errorf("append to %q: %w", streams[i%2], err)
				}
			}
			return nil
		})
	}()
	return events, done
}

// wantLog returns the log, which must have n events.
func (f *fixture) wantLog(n int) []eventstore.RecordedEvent {
	f.Helper()
	all := f.all(eventstore.ReadOptions{})
	if len(all) != n {
		f.Fatalf("ReadAll yields %d events, want %d", len(all), n)
	}
	return all
}

// Positions that become visible out of order are the classic way to lose an
// event: a consumer that has passed one never comes back.
func followsWriters(f *fixture) {
	f.append("own-0", eventstore.NoStream, events("before", "before")...)
	n, written := f.write()
	n += 2
	got := make([][]eventstore.RecordedEvent, len(pages))
	err := together(len(pages), func(i int) (err error) {
		got[i], err = f.gather(eventstore.ReadOptions{PageSize: pages[i]}, n)
		return err
	})
	if err := errors.Join(<-written, err); err != nil {
		f.Fatalf("%v", err)
	}
	all := f.wantLog(n)
	for i := range pages {
		f.wantEvents(fmt.Sprintf("Subscribe with PageSize %d", pages[i]), got[i], all)
	}
}

// gather is follow for goroutines other than the test's.
func (f *fixture) gather(opts eventstore.ReadOptions, n int) ([]eventstore.RecordedEvent, error) {
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	var list []eventstore.RecordedEvent
	for b, err := range f.Subscribe(ctx, opts) {
		if err != nil {
			return list, fmt.Errorf("subscribe with PageSize %d, after %d of %d events: %w", opts.PageSize, len(list), n, err)
		}
		if k := len(b.Events); k > 0 && b.Events[k-1].AppendEnd != b.Events[k-1].Position {
			return list, fmt.Errorf("a batch ends at position %d, its append at %d", b.Events[k-1].Position, b.Events[k-1].AppendEnd)
		}
		if list = append(list, b.Events...); len(list) >= n {
			return list, nil
		}
	}
	return list, errors.New("subscribe ended without an error")
}

// An invariant that every append keeps must hold in all that a reader sees.
func showsWholeAppends(f *fixture) {
	f.append("order-1", eventstore.NoStream, numbered("0.", 3)...)
	var written atomic.Bool
	write := func() error {
		defer written.Store(true)
		for i := range 60 {
			if _, err := f.tryAppend("order-1", eventstore.Any, numbered(fmt.Sprint(i+1, "."), 3)...); err != nil {
				return fmt.Errorf("append: %w", err)
			}
		}
		return nil
	}
	read := func() error {
		// The last time behind the last append, however late this begins.
		for done := false; !done; {
			done = written.Load()
			log, logErr := collect(f.ReadAll(f.Context(), eventstore.ReadOptions{PageSize: 50}))
			stream, streamErr := collect(f.ReadStream(f.Context(), "order-1", eventstore.ReadOptions{PageSize: 50}))
			if err := errors.Join(logErr, streamErr); err != nil {
				return fmt.Errorf("read: %w", err)
			}
			if len(log)%3 != 0 || len(stream)%3 != 0 {
				return fmt.Errorf("ReadAll yields %d and ReadStream %d events of appends of 3", len(log), len(stream))
			}
		}
		return nil
	}
	f.concurrently(2, func(i int) error { return []func() error{write, read}[i]() })
}

// A projection that was built from a part of the log must stay right.
func readsStablePrefix(f *fixture) {
	n, written := f.write()
	var last []eventstore.RecordedEvent
	for done := false; !done; {
		select {
		case err := <-written:
			if done = true; err != nil {
				f.Fatalf("%v", err)
			}
		default:
		}
		now := f.all(eventstore.ReadOptions{PageSize: 7})
		if len(now) < len(last) {
			f.Fatalf("ReadAll yields %d events after it yielded %d", len(now), len(last))
		}
		f.wantEvents("ReadAll while others write", now[:len(last)], last)
		last = now
	}
	f.wantEvents("ReadAll", f.wantLog(n), last)
}
