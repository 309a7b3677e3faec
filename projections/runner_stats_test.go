package projections

import (
	"fmt"
	"testing"

	"github.com/57528e99/recount/operations"
)

// TestStatsCount applies events, stops on one, and is interrupted by a table that is gone.
func TestStatsCount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1), newTotals("totals")))
	b.append("account-1", deposited{Amount: 1}, deposited{Amount: 1})
	b.append("account-1", deposited{Note: "refuse"})
	b.reaches("accounts", operations.Failed, 2)
	b.reaches("totals", operations.Running, 3)
	b.eventually(func() error {
		for i, want := range []Stats{
			{Projection: "accounts", Events: 2, Stops: 1},
			{Projection: "totals", Events: 3, Running: true},
		} {
			got := r.Stats()[i]
			if got.Batches < 1 {
				return fmt.Errorf("stats = %+v, want batches", got)
			}
			if got.Batches = 0; got != want {
				return fmt.Errorf("stats = %+v, want %+v", got, want)
			}
		}
		return nil
	})
	if b.db.BehindPooler() {
		t.Skip("connections cannot be cut behind a pooler")
	}
	b.eventually(func() error {
		b.cutConnections()
		b.append("account-1", deposited{Amount: 1}) // it has to find something to do
		if got := r.Stats()[1]; got.Interruptions == 0 {
			return fmt.Errorf("stats = %+v, want an interruption", got)
		}
		return nil
	})
}

func TestLastOperationsAreOneOfEachKind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1), newTotals("totals")))
	b.arrives(r, "accounts", b.fill(5))
	for _, o := range []struct {
		projection string
		kind       operations.Kind
	}{{"totals", Rebuild}, {"accounts", Verify}, {"accounts", Rebuild}, {"accounts", Verify}} {
		if _, err := r.Run(t.Context(), operations.Request{Kind: o.kind, Subject: o.projection}, nil); err != nil {
			t.Fatal(err)
		}
	}
	newest, err := b.admin.Operations(t.Context(), "accounts")
	if err != nil {
		t.Fatal(err)
	}
	last, err := b.admin.LastOperations(t.Context())
	if err != nil || len(last) != 3 {
		t.Fatalf("LastOperations = %+v, %v, want 3", last, err)
	}
	if last[0].Kind != Rebuild || last[1].ID != newest[0].ID || last[2].Subject != "totals" {
		t.Errorf("LastOperations = %+v, want accounts' rebuild and second verify, and totals' rebuild", last)
	}
}
