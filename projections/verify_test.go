package projections

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/57528e99/recount/operations"
)

func (b *bench) verify(r *Runner, projection string) Verification {
	b.Helper()
	op, err := r.Run(b.Context(), operations.Request{Kind: Verify, Subject: projection, Actor: "test"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	var v Verification
	if err := json.Unmarshal(op.Result, &v); err != nil {
		b.Fatal(err)
	}
	return v
}

func (b *bench) exec(sql string, args ...any) {
	b.Helper()
	if _, err := b.pool().Exec(b.Context(), sql, args...); err != nil {
		b.Fatal(err)
	}
}

// TestAVerificationFindsWhatWasDamaged changes, removes and adds a row by hand, and falsifies the
// checkpoint; a repair of each row then makes it right.
func TestAVerificationFindsWhatWasDamaged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, _ := b.startFilled(newAccounts(1), 50)
	if v := b.verify(r, "accounts"); !v.OK() || v.Rows != 50 || v.Events != 150 {
		t.Fatalf("of good rows it says %+v, want nothing wrong with 50 rows of 150 events", v)
	}
	b.exec(`UPDATE recount.accounts_g1 SET balance = balance + 1 WHERE id = '7'`)
	b.exec(`DELETE FROM recount.accounts_g1 WHERE id = '8'`)
	b.exec(`INSERT INTO recount.accounts_g1 (id, recount_position, owner, balance, opened_at, notes, touched)
		SELECT 'nobody', recount_position, owner, balance, opened_at, notes, touched FROM recount.accounts_g1 WHERE id = '9'`)
	v := b.verify(r, "accounts")
	if v.OK() || v.Differing != 3 || len(v.Differences) != 3 {
		t.Fatalf("it found %+v, want three rows that differ", v)
	}
	for i, d := range v.Differences {
		switch d.Key["id"] {
		case "7":
			if d.Want["balance"] == d.Got["balance"] || len(d.Events) == 0 || d.Events[0].Stream != "account-7" {
				t.Errorf("account 7: %+v, want both balances and its events", d)
			}
		case "8":
			if d.Want == nil || d.Got != nil || len(d.Events) == 0 {
				t.Errorf("account 8: %+v, want a missing row and its events", d)
			}
		case "nobody":
			if d.Want != nil || d.Got == nil || len(d.Events) != 0 {
				t.Errorf("nobody: %+v, want a row too many and no events", d)
			}
		default:
			t.Errorf("it names %v", d.Key)
		}
		key := d.Key["id"].(string)
		if i > 0 {
			shown, err := json.Marshal(d.Key)
			if err != nil {
				t.Fatal(err)
			}
			key = string(shown)
		}
		op, err := r.Run(t.Context(), operations.Request{Kind: Repair, Subject: "accounts", Options: operations.Options{Key: key}}, nil)
		var repaired Repaired
		if err := errors.Join(err, json.Unmarshal(op.Result, &repaired)); err != nil || !repaired.Changed {
			t.Errorf("Repair(%v) = %+v, %v, want the row changed", d.Key, repaired, err)
		}
	}
	if v := b.verify(r, "accounts"); !v.OK() {
		t.Errorf("after the repairs it says %+v", v)
	}
	b.exec(`UPDATE recount.projection_generations SET events = events - 1`)
	if v := b.verify(r, "accounts"); v.OK() || v.Events+1 != v.LogEvents {
		t.Errorf("of a false count it says %+v, want it noticed", v)
	}
	b.exec(`UPDATE recount.projection_generations SET events = events + 1`)
}

// exact is a row whose columns can hold more than their Go types tell apart.
type exact struct {
	Ratio  float32
	Amount map[string]json.Number
	Floats map[string]float64
	Part   struct{ N int }
	None   []string
}

// TestAVerificationIsAsExactAsTheTable: what a Go type of the row would not notice, it does.
func TestAVerificationIsAsExactAsTheTable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := NewFold[string, exact](Table{Name: "exacts", Version: 1})
	Upsert(f, ByID, func(row *exact, _ deposited, _ Recorded) error {
		row.Ratio, row.Floats, row.Part.N = 0.1, map[string]float64{"n": 9007199254740992}, 1
		row.Amount = map[string]json.Number{"n": "9007199254740993", "d": "1.10"}
		return nil
	})
	end := b.append("account-1", deposited{Amount: 1})
	r := b.start(b.runner(f))
	b.arrives(r, "exacts", end)
	b.exec(`UPDATE recount.exacts_g1 SET amount = '{"n": 9007199254740993.0, "d": 1.1}'`)
	if v := b.verify(r, "exacts"); !v.OK() {
		t.Errorf("of the same numbers in other words it says %+v", v.Differences)
	}
	for _, damage := range []string{
		`amount = '{"n": 9007199254740992, "d": 1.1}'`,
		`amount = '{"n": 9007199254740993, "d": 1.10000000000000000001}'`,
		`amount = '{"n": "9007199254740993", "d": 1.1}'`,
		`floats = '{"n": 9007199254740993}'`,
		`ratio = 0.1`, // and not the float32
		`part = '{"N": 1, "M": 2}'`,
		`none = '[]'`, // and not null
		`part = '[]'`, // which cannot be scanned to a row at all
	} {
		b.exec(`UPDATE recount.exacts_g1 SET ` + damage)
		if v := b.verify(r, "exacts"); v.Differing != 1 {
			t.Errorf("of a row with %s it says %+v, want it differing", damage, v)
		}
		op, err := r.Run(t.Context(), operations.Request{Kind: Repair, Subject: "exacts", Options: operations.Options{Key: "1"}}, nil)
		var repaired Repaired
		if err := errors.Join(err, json.Unmarshal(op.Result, &repaired)); err != nil || !repaired.Changed {
			t.Errorf("the repair of a row with %s = %s, %v, want it changed", damage, op.Result, err)
		}
		if v := b.verify(r, "exacts"); !v.OK() {
			t.Errorf("after the repair of %s it says %+v", damage, v.Differences)
		}
	}
}

// TestARowThatIsTooFarIsFound although the event that it says it has is one that cannot be applied.
func TestARowThatIsTooFarIsFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, end := b.startFilled(newAccounts(1), 5)
	b.append("account-3", deposited{Note: "refuse"})
	b.reaches("accounts", operations.Failed, end.Position)
	b.exec(`UPDATE recount.accounts_g1 SET recount_position = $1 WHERE id = '3'`, end.Position+1)
	v := b.verify(r, "accounts")
	if v.Differing != 1 || len(v.Differences) != 1 || len(v.Differences[0].Events) == 0 {
		t.Errorf("it found %+v, want the row of account 3 and its events", v)
	}
}

// TestRowsThatChangeMeanwhileAreVerified writes while the log is read: all rows are newer by the
// time that they are compared.
func TestRowsThatChangeMeanwhileAreVerified(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, _ := b.startFilled(newAccounts(1), 60)
	for _, damaged := range []bool{false, true} {
		x := &execution{runner: r, worker: r.workers[0], meter: operations.NewMeter(0), claim: &claim{&operations.Claim{}, r.catalog}}
		x.Operation.Options.Workers = 1
		fold := x.worker.runs.(bulk)
		written := false
		x.runner = &Runner{config: r.config, catalog: r.catalog, knows: r.knows}
		x.runner.config.Store = &hookedReader{Reader: b.store, before: func() {
			if written {
				return
			}
			written = true
			for i := range 20 {
				b.append(fmt.Sprintf("account-%d", i), deposited{Amount: 1, Note: "late"})
			}
			end := b.append("account-21", closed{})
			b.arrives(r, "accounts", end)
			if damaged {
				b.exec(`UPDATE recount.accounts_g1 SET balance = balance + 1 WHERE id = '3'`)
				b.exec(`DELETE FROM recount.accounts_g1 WHERE id = '30'`)
			}
		}}
		v, err := x.compare(t.Context(), fold, r.workers[0].generation)
		want := int64(0)
		if damaged {
			want = 2
		}
		if err != nil || v.Differing != want || v.Rechecked < 20 {
			t.Errorf("damaged %v: compare = %+v, %v, want %d rows differing and 20 rechecked at least", damaged, v, err, want)
		}
	}
}

// TestARollbackCatchesUpFirst: what happened since the rebuild is in the old rows, too.
func TestARollbackCatchesUpFirst(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	r, _ := b.startFilled(f, 20)
	request := operations.Request{Kind: Rollback, Subject: "accounts", Actor: "test"}
	if _, err := r.Run(t.Context(), request, nil); !errors.Is(err, ErrNoGeneration) || !errors.Is(err, operations.ErrInvalid) {
		t.Errorf("without anything to go back to Run = %v, want operations.ErrInvalid and ErrNoGeneration", err)
	}
	if all, err := b.admin.Operations(t.Context(), "accounts"); err != nil || len(all) > 0 {
		t.Errorf("operations are %+v, %v, want none: it was refused", all, err)
	}
	b.rebuild(r, "accounts", operations.Options{})
	b.arrives(r, "accounts", b.append("account-3", deposited{Amount: 9}))
	if _, err := r.Run(t.Context(), request, nil); err != nil {
		t.Fatal(err)
	}
	b.arrives(r, "accounts", b.append("account-3", deposited{Amount: 9}))
	if s := b.serving("accounts"); s.Generation != 1 {
		t.Errorf("generation %d is shown, want 1 again", s.Generation)
	}
	if err := b.compare(f); err != nil {
		t.Error(err)
	}
}

// TestARollbackGoesToTheOneBefore although the clock was set back after an earlier one was
// replaced. A rebuild keeps that one, too.
func TestARollbackGoesToTheOneBefore(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	r, _ := b.startFilled(f, 5)
	b.rebuild(r, "accounts", operations.Options{})
	b.exec(`UPDATE recount.projection_generations SET retired_at = retired_at + interval '1 hour'`)
	b.rebuild(r, "accounts", operations.Options{})
	if _, err := r.Run(t.Context(), operations.Request{Kind: Rollback, Subject: "accounts", Actor: "test"}, nil); err != nil {
		t.Fatal(err)
	}
	if s := b.serving("accounts"); s.Generation != 2 {
		t.Errorf("generation %d is shown, want 2, the one before 3", s.Generation)
	}
}
