package projections

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// raw is an event that the codec cannot read, or would not write.
func raw(eventType string, version int, data string) eventstore.Event {
	return eventstore.Event{Type: eventType, SchemaVersion: version, Data: []byte(data)}
}

// TestAFailingEventStopsAtItsAppend appends a good append, one whose third event is bad, and
// another good one, and looks where the projection stops and why.
func TestAFailingEventStopsAtItsAppend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		bad       any
		error     string
		reason    operations.Reason
		eventType string
	}{
		{"error of the fold", deposited{Note: "refuse"}, "too much", ReasonNotApplied, "Deposited"},
		{"panic of the fold", deposited{Note: "panic"}, "panic: " + errPanic, ReasonNotApplied, "Deposited"},
		{"no row", transferred{Amount: 1}, ErrNoRow.Error(), ReasonNoRow, "Transferred"},
		{"not JSON", raw("Deposited", 1, "{"), "decode event type", ReasonNotApplied, "Deposited"},
		{"NUL in text", opened{Owner: ptr("a\x00")}, "column owner: the text has a NUL", ReasonNotApplied, "Opened"},
		{"NUL in JSON", deposited{Note: "\x00"}, "\\u0000", ReasonRowRefused, "Deposited"},
		{"text too long for an index", opened{Owner: ptr(incompressible(20000))}, "index row", ReasonRowRefused, "Opened"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			f, other := newAccounts(1), newTotals("totals")
			b.append("account-1", deposited{Amount: 1}, deposited{Amount: 1})
			b.append("account-1", deposited{Amount: 2})
			b.append("account-2", deposited{Amount: 4}, deposited{Amount: 4})
			stream := "account-2"
			if c.eventType == "Transferred" {
				stream = "account-none"
			}
			b.append("account-2", closed{}, closed{}, deposited{Amount: 8})
			b.append(stream, closed{}, closed{}, c.bad, deposited{})
			end := b.append("account-1", deposited{Amount: 16})
			b.start(b.runner(f, other))

			s := b.reaches("accounts", operations.Failed, 8)
			if s.Position != 8 || s.Events != 8 {
				t.Errorf("it stopped at position %d after %d events, want 8 after 8: all of the appends before", s.Position, s.Events)
			}
			failed := s.Failure
			if failed.Position != 11 || failed.Type != c.eventType || failed.Stream != stream || failed.EventID != b.events()[10].ID {
				t.Errorf("the failure is %+v, want the event at position 11", failed)
			}
			if !strings.Contains(failed.Error, c.error) || failed.Reason != c.reason {
				t.Errorf("the failure is %q for the reason %q, want %q for %q", failed.Error, failed.Reason, c.error, c.reason)
			}
			got := b.rows(f, s.Table)
			if len(got) != 2 || got["1"].Balance != 4 || got["2"].Balance != 8 {
				t.Errorf("rows are %v, want a balance of 4 in account 1 and of 8 in account 2", got)
			}
			if c.eventType != "Deposited" { // which the other one handles too
				b.reaches("totals", operations.Running, end.Position)
			}

			skips, err := b.admin.Skip(t.Context(), "accounts", 11, "known to be wrong", "the test")
			if err != nil || len(skips) != 1 || skips[0].Position != 11 || skips[0].Failure != failed.Error {
				t.Fatalf("Skip = %+v, %v, want the event at position 11", skips, err)
			}
			s = b.reaches("accounts", operations.Running, end.Position)
			if s.Events != 13 || s.Failure != nil {
				t.Errorf("after Skip it has %d events and failure %v, want all 13", s.Events, s.Failure)
			}
			if got := b.rows(f, s.Table)["1"].Balance; got != 20 {
				t.Errorf("the balance is %d, want 20", got)
			}
			kept, err := b.admin.Skips(t.Context(), "accounts")
			if err != nil || len(kept) != 1 || kept[0].Reason != "known to be wrong" || kept[0].Actor != "the test" {
				t.Errorf("Skips = %+v, %v, want the record", kept, err)
			}
		})
	}
}

// incompressible returns text that TOAST cannot make short enough for an index row.
func incompressible(n int) string {
	var b strings.Builder
	for i := uint64(1); b.Len() < n; i++ {
		fmt.Fprintf(&b, "%x", i*0x9E3779B97F4A7C15)
	}
	return b.String()
}

// TestAValueThatIsNotJSONNamesItsEvent: what the program itself cannot write is found like what the
// database refuses.
func TestAValueThatIsNotJSONNamesItsEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	type row struct{ Ratios []float64 }
	f := NewFold[string, row](Table{Name: "ratios", Version: 1})
	Upsert(f, ByID, func(r *row, e deposited, _ Recorded) error {
		zero := 0.0
		r.Ratios = append(r.Ratios, zero/float64(e.Amount)) // NaN for 0
		return nil
	})
	b.append("x-1", deposited{Amount: 1})
	b.append("x-2", deposited{Amount: 2}, deposited{Amount: 0}, deposited{Amount: 1})
	b.start(b.runner(f))
	s := b.reaches("ratios", operations.Failed, 1)
	if s.Failure.Position != 3 || !strings.Contains(s.Failure.Error, "column ratios: json: unsupported value: NaN") {
		t.Errorf("the failure is %+v, want position 3 with the column and the value", s.Failure)
	}
}

func TestResumeTriesAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	type row struct{ N int64 }
	refuse := make(chan error, 2)
	refuse <- errTooMuch
	refuse <- errTooMuch
	f := NewFold[string, row](Table{Name: "counts", Version: 1})
	Upsert(f, ByID, func(r *row, _ deposited, _ Recorded) error {
		r.N++
		select {
		case err := <-refuse:
			return err
		default:
			return nil
		}
	})
	end := b.append("x-1", deposited{})
	b.start(b.runner(f))
	first := b.reaches("counts", operations.Failed, 0).Failure.At
	if err := b.admin.Resume(t.Context(), "counts", "", "test"); err != nil {
		t.Fatal(err)
	}
	b.eventually(func() error {
		if s := b.status("counts"); s.Failure == nil || !s.Failure.At.After(first) {
			return fmt.Errorf("the failure is %+v, want a later one than of %s", s.Failure, first)
		}
		return nil
	})
	if err := b.admin.Resume(t.Context(), "counts", "", "test"); err != nil {
		t.Fatal(err)
	}
	b.reaches("counts", operations.Running, end.Position)
}

func TestWhichErrorsComeAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for sql, want := range map[string]bool{
		`SELECT 1/0`:                               true,
		`SELECT 'x'::int`:                          true,
		`SELECT * FROM missing`:                    true,
		`SELECT` + `FROM FROM`:                     true,
		`DO $$BEGIN RAISE 'no'; END$$`:             true,
		"SELECT '\x00'":                            true, // a message that cannot be read
		`DO $$BEGIN RAISE SQLSTATE '08006'; END$$`: false,
		`SELECT recount.lease_lost()`:              false,
		`DO $$BEGIN RAISE SQLSTATE '40P01'; END$$`: false,
		`DO $$BEGIN RAISE SQLSTATE '53100'; END$$`: false,
		`DO $$BEGIN RAISE SQLSTATE '25P02'; END$$`: true,
		`DO $$BEGIN RAISE SQLSTATE '25006'; END$$`: false,
		`DO $$BEGIN RAISE SQLSTATE '0A000'; END$$`: false,
	} {
		_, err := b.pool().Exec(t.Context(), sql)
		if err == nil {
			t.Fatalf("%s: no error", sql)
		}
		if got := isDataError(fmt.Errorf("wrapped: %w", err)); got != want {
			t.Errorf("isDataError(%v) = %v, want %v", err, got, want)
		}
	}
	for _, err := range []error{context.DeadlineExceeded, errors.New("connection refused"), pgx.ErrTxClosed} {
		if isDataError(err) {
			t.Errorf("isDataError(%v) = true, want false", err)
		}
	}
}

func TestStorableTextFitsAColumn(t *testing.T) {
	t.Parallel()
	got := operations.SanitizeText("a\x00b\xff" + strings.Repeat("ü", 4000))
	if strings.ContainsRune(got, 0) || len(got) > 4010 || !strings.HasPrefix(got, "a?b?ü") {
		t.Errorf("storable = %d bytes, %q…", len(got), got[:8])
	}
	b := newBench(t)
	if _, err := b.pool().Exec(t.Context(), `SELECT $1::text`, got); err != nil {
		t.Error(err)
	}
}

// damagedReader is a store whose first event can no longer be decoded.
type damagedReader struct{ eventstore.Store }

func (s damagedReader) ReadAll(ctx context.Context, o eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		for e, err := range s.Store.ReadAll(ctx, o) {
			if e.Position == 1 {
				e.Data = []byte("{")
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// TestAnOperationDoesNotSendPeopleToSkip an event that the projection has applied: that would be
// refused.
func TestAnOperationDoesNotSendPeopleToSkip(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	b.arrives(b.start(b.runner(f)), "accounts", b.append("account-1", deposited{Amount: 1}, deposited{Amount: 2}))
	log := b.store
	b.store = damagedReader{log}
	other := b.runner(f)
	b.store = log
	for _, kind := range []operations.Kind{Rebuild, Verify} {
		_, err := other.Run(t.Context(), operations.Request{Kind: kind, Subject: "accounts", Actor: "test"}, nil)
		var failed *operations.EndedError
		if !errors.As(err, &failed) || failed.Operation.Reason != ReasonAppliedBefore {
			t.Errorf("%s = %v, want a failure for the reason %q", kind, err, ReasonAppliedBefore)
		}
	}
}
