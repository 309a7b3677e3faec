package projections

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/operations"
)

// prepareBalances queues what applyBalances does.
func prepareBalances(_ context.Context, table string, events []Decoded, out *pgx.Batch) error {
	for _, e := range events {
		if d, ok := e.Value.(deposited); ok {
			out.Queue(`INSERT INTO `+table+` AS t VALUES ($1, $2, $3)
				ON CONFLICT (id) DO UPDATE SET balance = t.balance + excluded.balance, note = excluded.note`, e.Event.Stream, d.Amount, d.Note)
		}
	}
	return nil
}

func newBatchAccounts(prepare func(context.Context, string, []Decoded, *pgx.Batch) error) *BatchProjector {
	return NewBatch(BatchConfig{Name: "batch_accounts", Version: 1, Types: []string{"Deposited", "Closed"},
		Create: createBalances, Prepare: prepare})
}

func TestABatchProjectorFollowsTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append("account-1", deposited{Amount: 1}, opened{}, deposited{Amount: 2})
	r := b.start(b.runner(newBatchAccounts(prepareBalances)))
	b.arrives(r, "batch_accounts", b.append("account-1", deposited{Amount: 3}, closed{}))
	var balance int64
	if err := b.pool().QueryRow(t.Context(), `SELECT balance FROM recount.batch_accounts`).Scan(&balance); err != nil {
		t.Fatal(err)
	}
	if s := b.status("batch_accounts"); balance != 6 || s.Events != 4 || s.Position != 5 {
		t.Errorf("the balance is %d after %d events at %d, want 6 after 4 at 5", balance, s.Events, s.Position)
	}
}

// An outage of what Prepare reads must not stop it.
func TestABatchProjectorTriesAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append("account-1", deposited{Amount: 1})
	var over atomic.Bool
	r := b.start(b.runner(newBatchAccounts(func(ctx context.Context, table string, events []Decoded, out *pgx.Batch) error {
		if !over.Load() {
			return errors.New("cannot be reached")
		}
		return prepareBalances(ctx, table, events, out)
	})))
	s := b.reaches("batch_accounts", operations.Retrying, 0)
	if s.Position != 0 || s.Trouble.Error != "cannot be reached" {
		t.Errorf("it is at %d with %+v, want 0 and the outage", s.Position, s.Trouble)
	}
	over.Store(true)
	b.arrives(r, "batch_accounts", b.append("account-1", deposited{Amount: 1}))
}

func TestABatchProjectorStopsOnWhatItCannotWrite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		prepare    func(context.Context, string, []Decoded, *pgx.Batch) error
	}{
		{"constraint", "violates check constraint", prepareBalances},
		{"panic", "panic: no", func(ctx context.Context, table string, events []Decoded, out *pgx.Batch) error {
			for _, e := range events {
				if e.Event.Position == 5 {
					panic("no")
				}
			}
			return prepareBalances(ctx, table, events, out)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			for _, stream := range []string{"account-1", "account-2", "account-3", "account-4"} {
				b.append(stream, deposited{Amount: 1})
			}
			b.append("account-5", deposited{Amount: 1000})
			b.start(b.runner(newBatchAccounts(c.prepare)))
			s := b.reaches("batch_accounts", operations.Failed, 4)
			if s.Position != 4 || s.Failure.Position != 5 || !strings.Contains(s.Failure.Error, c.want) {
				t.Errorf("it stopped at %d by %+v, want 4 by position 5 and %q", s.Position, s.Failure, c.want)
			}
		})
	}
}

func TestABatchProjectorMayHandleMoreTypesLater(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := newBatchAccounts(prepareBalances)
	b.stop(b.start(b.runner(p)))
	p.config.Types = []string{"Deposited", "Closed", "Opened"}
	b.start(b.runner(p))
}

func TestMistakesInABatchProjectorAreReported(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := NewRunner(b.config(), NewBatch(BatchConfig{Name: "Batch", Types: []string{"Never"}, Prepare: prepareBalances}), NewBatch(BatchConfig{Name: "other"}))
	for _, want := range []string{`name "Batch"`, "set Version", "Create", `"Never" is not in the codec`, "Prepare"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewRunner = %v, want %s in it", err, want)
		}
	}
}
