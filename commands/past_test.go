package commands

import (
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

func TestStateAtEveryVersion(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t)
	s.deposits(3)
	s.drawer.take(t, s.handler(), "account-1") // at version 2
	s.deposits(3)
	for version := range int64(6) {
		h := s.handler()
		s.store.events = 0
		a, at, err := h.LoadAt(t.Context(), "1", AtVersion(version))
		if err != nil || at != version || a.Balance != int(version)+1 {
			t.Errorf("at version %d: balance %d at %d, %v", version, a.Balance, at, err)
		}
		// A snapshot of a later version must not be looked at, one of an earlier saves reads.
		if version >= 2 && s.store.events > version {
			t.Errorf("at version %d: %d events were read, want those from the snapshot on", version, s.store.events)
		}
		if s.log.Len() > 0 {
			t.Errorf("at version %d: log %q", version, s.log.String())
		}
	}
	for _, version := range []int64{-1, 6} {
		_, _, err := s.handler().LoadAt(t.Context(), "1", AtVersion(version))
		if version < 0 {
			if err != nil {
				t.Errorf("before the first event: %v", err)
			}
			continue
		}
		wantError(t, err, ErrNoVersion)
	}
	mustDelete(t, s.store, "account-1")
	s.deposits(1)
	_, _, err := s.handler().LoadAt(t.Context(), "1", AtVersion(3))
	wantError(t, err, ErrNoVersion)
	if a, version, err := s.handler().LoadAt(t.Context(), "1", Moment{}); err != nil || a.Balance != 1 || version != 7 {
		t.Errorf("now: balance %d at %d, %v; want 1 at 7", a.Balance, version, err)
	}
}

func TestStateAtATime(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	clock := start
	store := memstore.New(memstore.Config{Now: func() time.Time { return clock }})
	h := newAccounts(t, store, Config{})
	for range 3 {
		mustHandle(t, h, "1", deposit{1}, Options{})
		clock = clock.Add(time.Hour)
	}
	for after, want := range map[time.Duration]int{-time.Second: 0, 0: 1, time.Hour - 1: 1, time.Hour: 2, 9 * time.Hour: 3} {
		a, version, err := h.LoadAt(t.Context(), "1", AtTime(start.Add(after)))
		if err != nil || a.Balance != want || version != int64(want)-1 {
			t.Errorf("after %s: balance %d at %d, %v; want %d", after, a.Balance, version, err, want)
		}
	}
	// What is hidden cannot be known.
	if err := store.SetStreamMetadata(t.Context(), "account-1", eventstore.StreamMetadata{TruncateBefore: 2}); err != nil {
		t.Fatal(err)
	}
	_, _, err := h.LoadAt(t.Context(), "1", AtVersion(2))
	wantError(t, err, ErrTruncated)
}
