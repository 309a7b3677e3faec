package background_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/57528e99/recount/internal/background"
)

var errTry = errors.New("not yet")

// TestALoopPausesByWhatItsStepsReturn: errors in a row are waited for longer and longer, until one
// comes after work was done.
func TestALoopPausesByWhatItsStepsReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var pauses []time.Duration
		var at []time.Duration
		begun := time.Now()
		results := []struct {
			next background.Next
			err  error
		}{
			{background.Again, nil}, {background.Idle, errTry}, {background.Idle, errTry}, {background.Idle, errTry},
			{background.Again, errTry}, {background.Idle, nil}, {background.Idle, errTry}, {background.Done, errTry},
		}
		loop := background.Loop{
			Idle:    time.Hour,
			Failed:  func(_ error, pause time.Duration) { pauses = append(pauses, pause) },
			Backoff: background.Backoff{Shortest: time.Second, Longest: 3 * time.Second},
		}
		err := loop.Run(t.Context(), func(context.Context) (background.Next, error) {
			at = append(at, time.Since(begun))
			r := results[len(at)-1]
			return r.next, r.err
		})
		if !errors.Is(err, errTry) {
			t.Errorf("Run = %v, want the error that came with Done", err)
		}
		for i, bound := range []time.Duration{1, 2, 3, 1, 1} {
			if p := pauses[i]; p < bound*time.Second/2 || p > bound*time.Second {
				t.Errorf("pause %d is %s, want from half of %s to all of it", i, p, bound*time.Second)
			}
		}
		if idle := at[6] - at[5]; at[1] != 0 || idle < time.Hour/2 || idle > time.Hour {
			t.Errorf("the steps were at %s, want the second at once and an idle wait of an hour at most before the seventh", at)
		}
	})
}

// TestALoopIsWokenAndEnds: from an idle wait by a message, and for good by its context.
func TestALoopIsWokenAndEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		steps := 0
		ended := make(chan error)
		go func() {
			loop := background.Loop{Idle: time.Hour, Wake: wake}
			ended <- loop.Run(ctx, func(context.Context) (background.Next, error) { steps++; return background.Idle, nil })
		}()
		synctest.Wait()
		background.Wake(wake)
		synctest.Wait()
		cancel(errTry)
		if err := <-ended; !errors.Is(err, errTry) || steps != 2 {
			t.Errorf("Run = %v after %d steps, want the cause of the end after 2", err, steps)
		}
	})
}

// TestAServiceStops gently, then by force; and it starts once.
func TestAServiceStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s background.Service
		var seen []string
		task := func(soft, hard context.Context) {
			<-soft.Done()
			seen = append(seen, "soft")
			<-hard.Done()
			seen = append(seen, "hard")
		}
		begin := func(context.Context) ([]background.Task, error) { return []background.Task{task}, nil }
		refuse := func(context.Context) ([]background.Task, error) { return nil, errTry }
		if err := s.Start(t.Context(), refuse); !errors.Is(err, errTry) {
			t.Fatalf("Start = %v, want the error of begin", err)
		}
		if err := s.Start(t.Context(), begin); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context(), begin); !errors.Is(err, background.ErrStarted) {
			t.Errorf("the second Start = %v, want ErrStarted", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) || !slices.Equal(seen, []string{"soft", "hard"}) {
			t.Errorf("Stop = %v, the task saw %q; want that it was cut off at the deadline", err, seen)
		}
		<-s.Stopped()
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("the second Stop = %v", err)
		}
	})
}

func TestAServiceThatWasStoppedDoesNotStart(t *testing.T) {
	t.Parallel()
	var s background.Service
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-s.Stopped()
	if err := s.Start(t.Context(), nil); !errors.Is(err, background.ErrStarted) {
		t.Errorf("Start after Stop = %v, want ErrStarted", err)
	}
}
