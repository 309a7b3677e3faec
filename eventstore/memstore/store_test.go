package memstore_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/eventstore/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) eventstore.Store { return memstore.New(memstore.Config{}) })
}

func appendEvent(t *testing.T, s *memstore.Store, opts eventstore.AppendOptions) eventstore.Appended {
	t.Helper()
	a := eventstore.StreamAppend{Stream: "order-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "OrderPlaced"}}}
	done, err := s.Append(t.Context(), a, opts)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return done
}

// A test that sets the clock gets the times that it set, and still a log whose
// time never runs backwards.
func TestClock(t *testing.T) {
	noon := time.Date(2011, 12, 9, 12, 0, 0, 1500, time.FixedZone("UTC+1", 3600))
	now := noon
	s := memstore.New(memstore.Config{Now: func() time.Time { return now }})
	appendEvent(t, s, eventstore.AppendOptions{})
	now = noon.Add(-time.Hour)
	appendEvent(t, s, eventstore.AppendOptions{Receipt: &eventstore.Receipt{Scope: "s", Key: "k"}})
	now = noon.Add(time.Hour)
	appendEvent(t, s, eventstore.AppendOptions{})

	// To the microsecond, as PostgreSQL has it.
	first := time.Date(2011, 12, 9, 11, 0, 0, 1000, time.UTC)
	want := []time.Time{first, first, first.Add(time.Hour)}
	for e, err := range s.ReadAll(t.Context(), eventstore.ReadOptions{}) {
		if err != nil || !e.RecordedAt.Equal(want[e.Version]) || e.RecordedAt.Location() != time.UTC {
			t.Errorf("version %d was recorded at %s, %v; want %s", e.Version, e.RecordedAt, err, want[e.Version])
		}
	}
	if r, err := s.Receipt(t.Context(), "s", "k"); err != nil || !r.StoredAt.Equal(first) {
		t.Errorf("the receipt was stored at %s, %v; want %s", r.StoredAt, err, first)
	}
}

func TestMaxAgeFollowsTheClock(t *testing.T) {
	now := time.Date(2011, 12, 9, 12, 0, 0, 0, time.UTC)
	s := memstore.New(memstore.Config{Now: func() time.Time { return now }})
	appendEvent(t, s, eventstore.AppendOptions{})
	if err := s.SetStreamMetadata(t.Context(), "order-1", eventstore.StreamMetadata{MaxAge: 60}); err != nil {
		t.Fatalf("SetStreamMetadata: %v", err)
	}
	for _, c := range []struct {
		age   time.Duration
		shown int
	}{{0, 1}, {time.Minute, 1}, {time.Minute + time.Microsecond, 0}} {
		now = time.Date(2011, 12, 9, 12, 0, 0, 0, time.UTC).Add(c.age)
		shown := 0
		for _, err := range s.ReadStream(t.Context(), "order-1", eventstore.ReadOptions{}) {
			if err != nil {
				t.Fatalf("ReadStream: %v", err)
			}
			shown++
		}
		if shown != c.shown {
			t.Errorf("ReadStream shows %d events of age %s, want %d", shown, c.age, c.shown)
		}
	}
}

func TestLimits(t *testing.T) {
	s := memstore.New(memstore.Config{Limits: eventstore.Limits{EventBytes: 4}})
	a := eventstore.StreamAppend{Stream: "order-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "OrderPlaced", Data: []byte("12345")}}}
	if _, err := s.Append(t.Context(), a, eventstore.AppendOptions{}); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("Append above the limit = %v, want %v", err, eventstore.ErrInvalid)
	}
}

// A token from beyond the log's end is one of a log that has lost events.
func TestTokenBeyondTheHead(t *testing.T) {
	s := memstore.New(memstore.Config{})
	head := appendEvent(t, s, eventstore.AppendOptions{}).Token
	beyond, otherLife := head, head
	beyond.Position++
	otherLife.Incarnation++
	for _, token := range []eventstore.Token{beyond, otherLife} {
		for _, err := range s.ReadAll(t.Context(), eventstore.ReadOptions{After: token}) {
			var changed *eventstore.LogChangedError
			if !errors.As(err, &changed) || *changed != (eventstore.LogChangedError{Token: token, Head: head, LastCommon: 1}) {
				t.Errorf("ReadAll after %+v = %v, want an error with last common position 1", token, err)
			}
		}
	}
}

func TestClosedStoreRefusesEverything(t *testing.T) {
	s := memstore.New(memstore.Config{})
	appendEvent(t, s, eventstore.AppendOptions{})
	if err := s.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	ctx := t.Context()
	for what, call := range map[string]func() error{
		"Head":              func() error { _, err := s.Head(ctx); return err },
		"StreamInfo":        func() error { _, err := s.StreamInfo(ctx, "order-1"); return err },
		"SetStreamMetadata": func() error { return s.SetStreamMetadata(ctx, "order-1", eventstore.StreamMetadata{}) },
		"DeleteStream":      func() error { _, err := s.DeleteStream(ctx, "order-1", eventstore.Any); return err },
		"Receipt":           func() error { _, err := s.Receipt(ctx, "s", "k"); return err },
		"PurgeReceipts":     func() error { _, err := s.PurgeReceipts(ctx, time.Now()); return err },
		"ReadAll": func() (err error) {
			for _, err = range s.ReadAll(ctx, eventstore.ReadOptions{}) {
			}
			return err
		},
		"ReadStream": func() (err error) {
			for _, err = range s.ReadStream(ctx, "order-1", eventstore.ReadOptions{}) {
			}
			return err
		},
	} {
		if err := call(); !errors.Is(err, eventstore.ErrClosed) {
			t.Errorf("%s of a closed store = %v, want %v", what, err, eventstore.ErrClosed)
		}
	}
}

// A subscription waits for a signal, not for time to pass: in a bubble, where
// time stands still while anything can run, its event comes at once.
func TestSubscriptionWakesWithoutPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := memstore.New(memstore.Config{})
		arrived := make(chan time.Duration)
		start := time.Now()
		go func() {
			defer close(arrived)
			for _, err := range s.Subscribe(ctx, eventstore.ReadOptions{}) {
				if err != nil {
					return
				}
				arrived <- time.Since(start)
			}
		}()
		for range 3 {
			synctest.Wait()
			appendEvent(t, s, eventstore.AppendOptions{})
			if after := <-arrived; after != 0 {
				t.Errorf("an event arrived %s after it was appended", after)
			}
		}
		cancel()
		if _, more := <-arrived; more {
			t.Error("a batch came after the subscription was cancelled")
		}
	})
}
