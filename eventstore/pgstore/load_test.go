package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgtest"
)

// Streams that are read at the same time share a statement. Each reader gets its
// own stream all the same, as far as it is shown, and nobody's context ends the
// reads of the others.
func TestStreamsAreReadTogether(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.New(t))
	name := func(i int) string { return fmt.Sprintf("together-%d", i) }
	const n, cut, deleted, again, long = 20, 3, 4, 5, 6
	want := make(map[int]int) // the number of events, by stream
	for i := range n {
		events := make([]eventstore.Event, 1+i)
		if i == long {
			events = make([]eventstore.Event, 200)
		}
		for k := range events {
			events[k] = eventstore.Event{Type: "Happened", Data: fmt.Appendf(nil, "%d/%d", i, k), Metadata: make([]byte, 100*i)}
		}
		mustAppend(t, s, eventstore.StreamAppend{Stream: name(i), Expected: eventstore.NoStream, Events: events})
		want[i] = len(events)
	}
	if err := s.SetStreamMetadata(t.Context(), name(cut), eventstore.StreamMetadata{MaxCount: 1}); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{deleted, again} {
		if _, err := s.DeleteStream(t.Context(), name(i), eventstore.Any); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, s, eventstore.StreamAppend{Stream: name(again), Expected: eventstore.NoStream,
		Events: []eventstore.Event{{Type: "Happened", Data: []byte("5/7")}}})
	want[cut], want[again] = 1, 1
	var group sync.WaitGroup
	for i := range 20 * n {
		group.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%7 == 0 {
				cancel()
			}
			stream := i % (n + 1) // the last was never written
			found, err := 0, error(nil)
			for e, failure := range s.ReadStream(ctx, name(stream), eventstore.ReadOptions{}) {
				if err = failure; err == nil && (e.Stream != name(stream) || string(e.Data) != fmt.Sprintf("%d/%d", stream, e.Version) || e.Type != "Happened") {
					t.Errorf("stream %q has event %q of stream %q at version %d", name(stream), e.Data, e.Stream, e.Version)
				}
				found++
			}
			switch {
			case i%7 == 0 && errors.Is(err, context.Canceled):
			case stream == deleted && errors.Is(err, eventstore.ErrStreamDeleted):
			case stream == n && errors.Is(err, eventstore.ErrStreamNotFound):
			case err == nil && found == want[stream]:
			default:
				t.Errorf("stream %q has %d events, %v; want %d", name(stream), found, err, want[stream])
			}
		})
	}
	group.Wait()
}
