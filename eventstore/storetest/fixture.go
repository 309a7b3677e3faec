package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
)

// patience is how long a clause waits for what must come.
const patience = 20 * time.Second

// fixture is a store and the test that it is in. Its helpers fail the test on
// what no clause can go on with.
type fixture struct {
	T
	eventstore.Store
	*logcheck.Recorder
}

// judge checks all that was recorded, and the log.
func (f *fixture) judge() {
	f.Helper()
	if !f.Features().GaplessLog {
		return
	}
	l, err := logcheck.ReadLog(f.Context(), f.Store)
	if errors.Is(err, eventstore.ErrClosed) {
		return
	}
	if err != nil {
		f.Fatalf("%v", err)
	}
	h := f.History()
	// Not every call goes through the fixture.
	logcheck.Test(f, logcheck.Check(&h, l, logcheck.Options{Except: []logcheck.Rule{logcheck.RuleUnsent}}))
}

// event returns an event with an id. Its data is the label, by which failures
// name it.
func event(label string) eventstore.Event {
	return eventstore.Event{ID: uuid.New(), Type: "Happened", Data: []byte(label)}
}

func events(labels ...string) []eventstore.Event {
	list := make([]eventstore.Event, len(labels))
	for i, label := range labels {
		list[i] = event(label)
	}
	return list
}

// numbered returns n events labelled with prefix and 0, 1, 2, …
func numbered(prefix string, n int) []eventstore.Event {
	list := make([]eventstore.Event, n)
	for i := range list {
		list[i] = event(fmt.Sprint(prefix, i))
	}
	return list
}

func labels(list []eventstore.RecordedEvent) []string {
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = string(e.Data)
	}
	return names
}

func streamAppend(stream string, expected eventstore.ExpectedVersion, list ...eventstore.Event) eventstore.StreamAppend {
	return eventstore.StreamAppend{Stream: stream, Expected: expected, Events: list}
}

func (f *fixture) tryAppend(stream string, expected eventstore.ExpectedVersion, list ...eventstore.Event) (eventstore.Appended, error) {
	a := streamAppend(stream, expected, list...)
	p := f.Begin(logcheck.AppendOf("clause", a, eventstore.AppendOptions{}))
	done, err := f.Append(f.Context(), a, eventstore.AppendOptions{})
	p.Answer(done, err)
	return done, err
}

func (f *fixture) append(stream string, expected eventstore.ExpectedVersion, list ...eventstore.Event) eventstore.Appended {
	f.Helper()
	done, err := f.tryAppend(stream, expected, list...)
	if err != nil {
		f.Fatalf("Append to %q expecting %s: %v", stream, expected, err)
	}
	return done
}

// refused fails the test unless do returns an error that matches want and leaves
// the log as it was.
func (f *fixture) refused(what string, want error, do func() error) {
	f.Helper()
	before := f.head()
	f.wantErr(what, do(), want)
	if after := f.head(); after != before {
		f.Fatalf("%s was refused, yet the head went from position %d to %d", what, before.Position, after.Position)
	}
}

func (f *fixture) wantErr(what string, err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("%s: error is %v, want %v", what, err, want)
	}
}

func (f *fixture) head() eventstore.Token {
	f.Helper()
	head, err := f.Head(f.Context())
	if err != nil {
		f.Fatalf("Head: %v", err)
	}
	return head
}

// collect returns what seq yields, and the error it ends with. Nothing may come
// behind an error.
func collect[E any](seq iter.Seq2[E, error]) ([]E, error) {
	var list []E
	var end error
	for e, err := range seq {
		switch {
		case end != nil:
			// Not wrapped, so that no clause takes it for the error it wants.
			return nil, fmt.Errorf("the sequence went on after the error %v", end)
		case err != nil:
			end = err
		default:
			list = append(list, e)
		}
	}
	return list, end
}

func (f *fixture) stream(name string, opts eventstore.ReadOptions) []eventstore.RecordedEvent {
	f.Helper()
	read := logcheck.ReadOf("clause", name)
	list, err := collect(f.ReadStream(f.Context(), name, opts))
	if err != nil {
		f.Fatalf("ReadStream(%q, %+v): %v", name, opts, err)
	}
	if opts.From == 0 && opts.Limit == 0 && !opts.Backwards && len(list) > 0 {
		f.Recorder.Read(read.Saw(list...))
	}
	return list
}

func (f *fixture) all(opts eventstore.ReadOptions) []eventstore.RecordedEvent {
	f.Helper()
	list, err := collect(f.ReadAll(f.Context(), opts))
	if err != nil {
		f.Fatalf("ReadAll(%+v): %v", opts, err)
	}
	return list
}

func (f *fixture) wantLabels(what string, got []eventstore.RecordedEvent, want ...string) {
	f.Helper()
	if !slices.Equal(labels(got), want) {
		f.Fatalf("%s yields %.200q, want %.200q", what, labels(got), want)
	}
}

// wantEvents compares all that an event has.
func (f *fixture) wantEvents(what string, got, want []eventstore.RecordedEvent) {
	f.Helper()
	f.wantLabels(what, got, labels(want)...)
	for i := range want {
		if !same(got[i], want[i]) {
			f.Fatalf("%s yields at %d\n%+v, want\n%+v", what, i, got[i], want[i])
		}
	}
}

func same(a, b eventstore.RecordedEvent) bool {
	return sameEvent(a.Event, b.Event) && a.Stream == b.Stream && a.Version == b.Version &&
		a.Position == b.Position && a.AppendEnd == b.AppendEnd && a.RecordedAt.Equal(b.RecordedAt)
}

func sameEvent(a, b eventstore.Event) bool {
	return a.ID == b.ID && a.Type == b.Type && a.SchemaVersion == b.SchemaVersion && a.ContentType == b.ContentType &&
		slices.Equal(a.Data, b.Data) && slices.Equal(a.Metadata, b.Metadata)
}

// sameResult compares what the results of an append and of its retry have in
// common.
func sameResult(a, b eventstore.Appended) bool {
	return a.Stream == b.Stream && a.Version == b.Version && a.Position == b.Position
}

// subscribe yields batches and fails the test when patience runs out.
func (f *fixture) subscribe(opts eventstore.ReadOptions) iter.Seq2[eventstore.Batch, error] {
	return func(yield func(eventstore.Batch, error) bool) {
		ctx, cancel := context.WithTimeout(f.Context(), patience)
		defer cancel()
		for b, err := range f.Subscribe(ctx, opts) {
			if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
				f.Fatalf("Subscribe(%+v) yielded nothing more within %s", opts, patience)
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

// untilFirst is subscribe as far as the first batch, for what must be an error.
func (f *fixture) untilFirst(opts eventstore.ReadOptions) iter.Seq2[eventstore.Batch, error] {
	return func(yield func(eventstore.Batch, error) bool) {
		for b, err := range f.subscribe(opts) {
			if !yield(b, err) || err == nil {
				return
			}
		}
	}
}

// together runs do n times at once.
func together(n int, do func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (f *fixture) concurrently(n int, do func(i int) error) {
	f.Helper()
	if err := together(n, do); err != nil {
		f.Fatalf("%v", err)
	}
}
