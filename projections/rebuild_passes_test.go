package projections

import (
	"testing"

	"github.com/57528e99/recount/operations"
)

func TestReadingsAhead(t *testing.T) {
	for _, c := range []struct {
		passes, done, todo int
		verify             bool
		want               int64
	}{
		{0, 0, 256, false, 0}, // nothing is known yet
		{0, 0, 256, true, 1},
		{1, 100, 156, false, 1},
		{1, 100, 156, true, 2},
		{2, 200, 56, false, 0},
		{2, 1, 255, false, 254},
	} {
		x := &execution{claim: &claim{Claim: &operations.Claim{Operation: operations.Operation{Options: operations.Options{Verify: c.verify}}}}}
		if got := x.readingsAhead(c.passes, c.done, c.todo); got != c.want {
			t.Errorf("readingsAhead(%d, %d, %d) with verify %t = %d, want %d", c.passes, c.done, c.todo, c.verify, got, c.want)
		}
	}
}
