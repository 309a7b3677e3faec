package delivery

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/57528e99/recount/operations"
)

// TestDeadLettersAreRedrivenByAndBy: at a rate each has its turn, and until then it is a dead letter like another, which holds up nothing of its key.
func TestDeadLettersAreRedrivenByAndBy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var mended atomic.Bool
	s := &script{fails: func(e Event, _ int) error {
		if strings.HasPrefix(e.Stream, "order-") && !mended.Load() {
			return Permanent(errNot)
		}
		return nil
	}}
	b.process("one", declare(from(AtBeginning, HandleRaw("h", s.handle), nil)))
	stop := b.alive()
	defer stop()
	var letters []int64
	for n := range 3 {
		letters = append(letters, b.events(fmt.Sprintf("order-%d", n+1), placed{}))
	}
	b.cursors("h", 0, map[string]int{"dead": 3})
	mended.Store(true)
	ctx, a := t.Context(), b.admin()
	for _, rate := range []float64{-1, 1e-9, 1e9} {
		if _, err := a.Redrive(ctx, "h", DeadOptions{All: true, Rate: rate}); !errors.Is(err, operations.ErrInvalid) {
			t.Errorf("redrive at a rate of %v: %v", rate, err)
		}
	}
	if _, err := a.Discard(ctx, "h", DeadOptions{All: true, Rate: 1, Reason: "broken"}); !errors.Is(err, operations.ErrInvalid) {
		t.Errorf("discard at a rate: %v", err)
	}
	delivered := func(want ...int64) {
		t.Helper()
		b.eventually(func() error {
			got := s.delivered("")
			got = slices.DeleteFunc(got, func(p int64) bool { return !slices.Contains(want, p) && !slices.Contains(letters, p) })
			if slices.Sort(got); !slices.Equal(got, want) {
				return fmt.Errorf("%v were delivered, want %v", got, want)
			}
			return nil
		})
	}
	if w, err := a.Redrive(ctx, "h", DeadOptions{All: true, Rate: 0.001, Actor: "me"}); err != nil || w.Count != 3 {
		t.Fatalf("redrive: %+v, %v", w, err)
	}
	later := b.events("order-3", placed{})
	delivered(letters[0], later)
	b.cursors("h", 0, map[string]int{"dead": 2})

	// The next wish is what is done.
	begun := time.Now()
	if w, err := a.Redrive(ctx, "h", DeadOptions{All: true, Rate: 10, Actor: "me"}); err != nil || w.Count != 2 {
		t.Fatalf("redrive: %+v, %v", w, err)
	}
	delivered(letters[0], letters[1], letters[2], later)
	if took := time.Since(begun); took < 100*time.Millisecond {
		t.Errorf("two were redriven in %s, at 10 a second", took)
	}
	b.cursors("h", 0, nil)
}
