package failpoint_test

import (
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
