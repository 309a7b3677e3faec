package pgstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
)

func TestCallerThatLeavesTheQueueWritesNothing(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	release := lockLog(t, db)
	taken, leaveTaken := context.WithCancel(t.Context())
	takenErr := make(chan error, 1)
	go func() {
		_, err := s.Append(taken, happened("taken-1", 0), eventstore.AppendOptions{})
		takenErr <- err
	}()
	waitForLock(t, db)
	ctx, leave := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() {
		_, err := s.Append(ctx, happened("left-1", 0), eventstore.AppendOptions{})
		waiting <- err
	}()
	leave()
	if err := <-waiting; !errors.Is(err, context.Canceled) || errors.Is(err, eventstore.ErrOutcomeUnknown) {
		t.Errorf("caller that left the queue: %v", err)
	}
	leaveTaken()
	if err := <-takenErr; !errors.Is(err, context.Canceled) || !errors.Is(err, eventstore.ErrOutcomeUnknown) {
		t.Errorf("caller that left its write: %v", err)
	}
	release()
	mustAppend(t, s, happened("after-1", 1))
	if got := numbers(t, s); len(got) != 2 {
		t.Errorf("log = %q, want the taken append and the one after", got)
	}
}

func TestCloseWritesWhatWaits(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	release := lockLog(t, db)
	errs := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := s.Append(t.Context(), happened("close-1", 0), eventstore.AppendOptions{})
			errs <- err
		}()
	}
	waitForLock(t, db)
	closed := make(chan error, 1)
	go func() { closed <- s.Close(t.Context()) }()
	eventually(t, "the store takes no more", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := s.Append(ctx, happened("closed-1", 0), eventstore.AppendOptions{})
		return errors.Is(err, eventstore.ErrClosed)
	})
	release()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	written := 0
	for range 2 {
		if err := <-errs; err == nil {
			written++
		} else if !errors.Is(err, eventstore.ErrClosed) {
			t.Error(err)
		}
	}
	if got := numbers(t, open(t, db)); len(got) < written {
		t.Errorf("log has %d events, %d were acknowledged", len(got), written)
	}
}
