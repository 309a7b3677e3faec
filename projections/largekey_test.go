package projections

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/57528e99/recount/operations"
)

// TestABulkBuildFindsTheEventOfARowThatFitsNoIndex: PostgreSQL does not say which row has a value
// that is too long, when it makes the index of all.
func TestABulkBuildFindsTheEventOfARowThatFitsNoIndex(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	b.fill(30)
	var long strings.Builder
	for sum := sha256.Sum256(nil); long.Len() < 100_000; sum = sha256.Sum256(sum[:]) { // too varied to be compressed
		fmt.Fprintf(&long, "%x", sum)
	}
	bad := b.append("account-1", transferred{To: []string{long.String()}, Amount: 1})
	end := b.append("account-2", deposited{Amount: 1})
	c := b.config()
	c.BulkFrom = 1
	r, err := NewRunner(c, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.stop(r) })
	b.start(r)
	s := b.reaches("accounts", operations.Failed, bad.Position-1)
	if s.Failure.Position != bad.Position || !strings.Contains(s.Failure.Error, "index row") {
		t.Fatalf("the failure is %+v, want one of the event at %d", s.Failure, bad.Position)
	}
	all, err := b.admin.Operations(t.Context(), "accounts")
	if err != nil || len(all) != 1 || all[0].State != operations.Failed || all[0].Reason != ReasonReplaying {
		t.Errorf("operations are %+v, %v, want the build, failed and replaying", all, err)
	}
	if _, err := b.admin.Skip(t.Context(), "accounts", bad.Position, "too long", "test"); err != nil {
		t.Fatal(err)
	}
	b.arrives(r, "accounts", end)
	if v := b.verify(r, "accounts"); !v.OK() || v.Rows == 0 {
		t.Errorf("after it was left out: %+v", v)
	}
}
