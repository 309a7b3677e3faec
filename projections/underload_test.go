package projections

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestOperationsEndUnderWrites appends all the while: the new rows must catch up with
// ones that move, and rows that differ only because they are newer are no difference.
func TestOperationsEndUnderWrites(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newAccounts(1)
	r := b.start(b.runner(f))
	b.arrives(r, "accounts", b.fill(100))
	stop := make(chan struct{})
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C: // faster than any projection can follow would prove nothing
			}
			switch stream := fmt.Sprintf("account-%d", i%100); i % 7 {
			case 0:
				b.append(stream, transferred{To: []string{fmt.Sprint(i % 90), fmt.Sprint(i % 80)}, Amount: 1}, deposited{Amount: 2})
			case 1:
				b.append(stream, closed{}, opened{})
			default:
				b.append(stream, opened{Owner: ptr("ann")})
			}
		}
	})
	other := b.runner(f) // as another process
	for _, kind := range []Kind{Rebuild, Verify, Rollback, Repair, Rebuild, Verify} {
		op, err := other.Run(t.Context(), Request{Kind: kind, Projection: "accounts", Actor: "test",
			Options: Options{Verify: kind == Rebuild, Key: map[Kind]string{Repair: "7"}[kind]}}, nil)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if kind == Verify {
			if v := b.verify(other, "accounts"); !v.OK() {
				t.Errorf("%s: %+v", op.Kind, v)
			}
		}
	}
	close(stop)
	writer.Wait()
	b.finish("accounts")
	if err := b.compare(f); err != nil {
		t.Error(err)
	}
}
