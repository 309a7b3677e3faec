package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestGrowth(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it begins with ten thousand appends")
	}
	r := tiny(t, Growth{Events: []int{20_000}, Duration: moment})
	parts := r.parts()
	if len(parts) != 4 {
		t.Fatalf("there are %d questions, want 4", len(parts))
	}
	for _, part := range parts {
		if want := []string{"10,000 events", "20,000 events"}; !slices.Equal(names(part), want) {
			t.Errorf("%s: lengths are %v, want %v", part.question(), names(part), want)
		}
		if want := fmt.Sprintf("p50 20,000 events/10,000 events@%d", part.Results[0].Callers); part.Ratios[want] == 0 {
			t.Errorf("%s: ratios are %v, want %s", part.question(), part.Ratios, want)
		}
	}
}

// What is copied must be a log that the store would have written, and goes on writing.
func TestCopiedStreamsAreALog(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	env := &Env{dsn: db.DSN}
	err := env.with(t.Context(), 4, func(s *scratch) error {
		const streams, events = 2*interleaved + 7, 3
		if err := s.fill(t.Context(), 1, events); err != nil {
			return err
		}
		if err := s.copyStreams(t.Context(), 2, streams-1, events); err != nil {
			return err
		}
		versions := make(map[string]int64)
		var last eventstore.RecordedEvent
		for e, err := range s.store.ReadAll(t.Context(), eventstore.ReadOptions{}) { // which checks that positions have no gaps
			if err != nil {
				return err
			}
			if e.Version != versions[e.Stream] || e.Type != eventType || e.AppendEnd != e.Position || e.RecordedAt.Before(last.RecordedAt) {
				t.Fatalf("position %d is %q version %d of type %q at %s, behind %s", e.Position, e.Stream, e.Version, e.Type, e.RecordedAt, last.RecordedAt)
			}
			versions[e.Stream]++
			last = e
		}
		if last.Position != streams*events || len(versions) != streams {
			t.Errorf("the log has %d events of %d streams, want %d of %d", last.Position, len(versions), streams*events, streams)
		}
		var wrong int
		err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM streams AS s JOIN categories AS c ON c.id = s.category_id
			WHERE c.name <> 'bench' OR NOT EXISTS (SELECT FROM events AS e WHERE e.position = s.id AND e.stream_id = s.id AND e.version = 0)`).Scan(&wrong)
		if err != nil || wrong != 0 {
			t.Errorf("%d streams do not have the position of their first event (%v)", wrong, err)
		}
		for _, stream := range []int64{1, 2, interleaved + 1, streams} {
			at, err := s.store.Append(t.Context(), eventstore.StreamAppend{
				Stream: streamName(stream), Expected: eventstore.Exact(events - 1), Events: newEvents(1),
			}, eventstore.AppendOptions{})
			if err != nil || at.Position <= streams*events {
				t.Errorf("append to %s = %+v, %v", streamName(stream), at, err)
			}
		}
		return s.copyStreams(t.Context(), streams+1, 1, events) // behind what the store appended
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "cpu")
	db := pgtest.NewEmpty(t)
	_, err := Run(t.Context(), Options{Database: db.DSN, CPUProfile: file}, Load{Callers: []int{1}, Duration: moment, Events: 1})
	if err != nil {
		t.Fatal(err)
	}
	if profile, err := os.ReadFile(file); err != nil || len(profile) < 100 {
		t.Errorf("the profile has %d bytes (%v)", len(profile), err)
	}
}
