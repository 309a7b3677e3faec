package failpoint_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/57528e99/recount/internal/failpoint"
)

func TestOnIsForItsContextOnly(t *testing.T) {
	t.Parallel()
	var hit []string
	call := func(name string) func() { return func() { hit = append(hit, name) } }
	one := failpoint.On(t, failpoint.Calls{failpoint.TxLocked: call("one, locked"), failpoint.TxWritten: call("one, written")})
	other := failpoint.On(t, failpoint.Calls{failpoint.TxLocked: call("other, locked")})
	failpoint.HitIn(one, failpoint.TxWritten)
	failpoint.HitIn(other, failpoint.TxWritten)
	failpoint.HitIn(t.Context(), failpoint.TxLocked)
	failpoint.HitIn(other, failpoint.TxLocked)
	if want := []string{"one, written", "other, locked"}; !slices.Equal(hit, want) {
		t.Errorf("calls are %q, want %q", hit, want)
	}
}

func TestOnAllIsToldWhatPointsAreAbout(t *testing.T) {
	t.Parallel()
	refusal := errors.New("not here")
	var hit []string
	ctx := failpoint.OnAll(t, func(p failpoint.Point, about []string) error {
		hit = append(hit, fmt.Sprint(p, about))
		return refusal
	})
	failpoint.HitIn(ctx, failpoint.TxLocked)
	if err := failpoint.FailIn(failpoint.About(ctx, "42", "pay"), failpoint.SagaStep); !errors.Is(err, refusal) {
		t.Errorf("it fails with %v, want what the test says", err)
	}
	if err := failpoint.FailIn(t.Context(), failpoint.SagaStep); err != nil {
		t.Errorf("another context fails with %v", err)
	}
	if want := []string{"tx/locked[]", "saga/step[42 pay]"}; !slices.Equal(hit, want) {
		t.Errorf("calls are %q, want %q", hit, want)
	}
}
