package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/operations"
)

func createBalances(ctx context.Context, tx pgx.Tx, table string) error {
	_, err := tx.Exec(ctx, `CREATE TABLE `+table+` (
		id text PRIMARY KEY, balance bigint NOT NULL CHECK (balance < 1000), note text NOT NULL,
		late text UNIQUE DEFERRABLE INITIALLY DEFERRED)`)
	return err
}

func applyBalances(ctx context.Context, tx pgx.Tx, table string, events []Decoded) error {
	for _, e := range events {
		d, ok := e.Value.(deposited)
		if !ok {
			continue
		}
		if d.Note == "refuse" {
			return errTooMuch
		}
		if d.Note == "late" {
			_, err := tx.Exec(ctx, `INSERT INTO `+table+` VALUES ('a', 0, '', 'same'), ('b', 0, '', 'same')`)
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO `+table+` AS t VALUES ($1, $2, $3)
			ON CONFLICT (id) DO UPDATE SET balance = t.balance + excluded.balance, note = excluded.note`, e.Event.Stream, d.Amount, d.Note)
		if err != nil {
			return err
		}
	}
	return nil
}

func newSQLAccounts() *SQLProjector {
	return NewSQL(SQLConfig{Name: "sql_accounts", Version: 1, Types: []string{"Deposited", "Closed", "Deposited"},
		Create: createBalances, Apply: applyBalances})
}

func TestASQLProjectorFollowsTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := newSQLAccounts()
	b.append("account-1", deposited{Amount: 1}, opened{}, deposited{Amount: 2})
	r := b.start(b.runner(p))
	b.arrives(r, "sql_accounts", b.append("account-1", deposited{Amount: 3}, closed{}))
	var balance int64
	if err := b.pool().QueryRow(t.Context(), `SELECT balance FROM recount.sql_accounts`).Scan(&balance); err != nil {
		t.Fatal(err)
	}
	if s := b.status("sql_accounts"); balance != 6 || s.Events != 4 || s.Position != 5 {
		t.Errorf("the balance is %d after %d events at %d, want 6 after 4 at 5", balance, s.Events, s.Position)
	}
}

// TestASQLProjectorsErrorNamesItsEvent: the projector does not say which event of the batch it was.
func TestASQLProjectorsErrorNamesItsEvent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		bad   deposited
		error string
	}{
		{"own error", deposited{Note: "refuse"}, "too much"},
		{"constraint", deposited{Amount: 1000}, "violates check constraint"},
		{"deferred constraint", deposited{Note: "late"}, "duplicate key"},
		{"data", deposited{Note: "\x00"}, "invalid "}, // byte sequence or, in one message with the statement, message format
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			for i := range 20 {
				b.append(fmt.Sprintf("account-%d", i), deposited{Amount: 1}, deposited{Amount: 1})
			}
			b.append("account-1", deposited{}, deposited{}, c.bad, deposited{})
			for i := range 20 {
				b.append(fmt.Sprintf("account-%d", i), deposited{Amount: 1})
			}
			b.start(b.runner(newSQLAccounts()))
			s := b.reaches("sql_accounts", operations.Failed, 40)
			if s.Position != 40 || s.Failure.Position != 43 || !strings.Contains(s.Failure.Error, c.error) {
				t.Errorf("it stopped at %d by %+v, want 40 by position 43 and %q", s.Position, s.Failure, c.error)
			}
			if _, err := b.admin.Skip(t.Context(), "sql_accounts", 0, "test", "test"); err != nil {
				t.Fatal(err)
			}
			b.reaches("sql_accounts", operations.Running, 64)
		})
	}
}

func TestASQLProjectorThatMisusesItsTransactionStops(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		apply      func(context.Context, pgx.Tx, string, []Decoded) error
	}{
		{"commits", "the function Apply ended the transaction", func(ctx context.Context, tx pgx.Tx, _ string, _ []Decoded) error {
			return tx.Commit(ctx)
		}},
		{"ignores an error", "a statement of it was refused", func(ctx context.Context, tx pgx.Tx, _ string, _ []Decoded) error {
			_, _ = tx.Exec(ctx, `SELECT * FROM missing`)
			return nil
		}},
		{"panics", "panic: no", func(context.Context, pgx.Tx, string, []Decoded) error { panic("no") }},
		{"wrong SQL", "SQLSTATE 42P01", func(ctx context.Context, tx pgx.Tx, _ string, _ []Decoded) error {
			_, err := tx.Exec(ctx, `SELECT * FROM missing`)
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.append("account-1", deposited{})
			b.start(b.runner(NewSQL(SQLConfig{Name: "sql_accounts", Version: 1, Types: []string{"Deposited"},
				Create: createBalances, Apply: c.apply})))
			s := b.reaches("sql_accounts", operations.Failed, 0)
			if s.Position != 0 || !strings.Contains(s.Failure.Error, c.want) {
				t.Errorf("it stopped at %d by %q, want 0 by %q", s.Position, s.Failure.Error, c.want)
			}
		})
	}
}

func TestCreateMustMakeTheTable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for want, create := range map[string]func(context.Context, pgx.Tx, string) error{
		"did not make the table": func(context.Context, pgx.Tx, string) error { return nil },
		"too much":               func(context.Context, pgx.Tx, string) error { return errTooMuch },
	} {
		r := b.runner(NewSQL(SQLConfig{Name: "sql_accounts", Version: 1, Types: []string{"Deposited"}, Create: create, Apply: applyBalances}))
		if err := r.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start = %v, want %q", err, want)
		}
	}
	if _, err := b.admin.Show(t.Context(), "sql_accounts"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Show = %v, want ErrNotFound: nothing must be left", err)
	}
}
