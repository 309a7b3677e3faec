package pgstore

import (
	"errors"
	"testing"
	"time"
)

func TestARefusalHoldsForAWhile(t *testing.T) {
	t.Parallel()
	now, full := time.Now(), errors.New("disk full")
	r := &refusal{full, now}
	if err := r.in(now.Add(refusalHolds - 1)); !errors.Is(err, full) {
		t.Errorf("just before its end: %v, want the error", err)
	}
	if err := r.in(now.Add(refusalHolds)); err != nil {
		t.Errorf("at its end: %v, want nil", err)
	}
}
