package projections

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/operations"
)

func (b *bench) history(maxEvents int) *History {
	b.Helper()
	h, err := NewHistory(HistoryConfig{Pool: b.pool(), Store: b.store, Codec: b.codec, MaxEvents: maxEvents})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// balanceAsOf returns the balance and the notes of an account at a moment; none if there was no
// row.
func (b *bench) balanceAsOf(h *History, id, stream string, at Moment) string {
	b.Helper()
	row, found, err := AsOf(b.Context(), h, newAccounts(1), id, stream, at)
	switch {
	case err != nil:
		b.Fatalf("AsOf(%q, %q, %+v): %v", id, stream, at, err)
	case !found:
		return "none"
	}
	return fmt.Sprintf("%d %v", row.Balance, row.Notes)
}

func TestARowIsAsOfAnyPosition(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append("account-1", opened{})                                              // 1
	b.append("account-12", deposited{Amount: 9, Note: "other"})                  // 2
	b.append("account-1", deposited{Amount: 5, Note: "a"}, deposited{Amount: 1}) // 3, 4
	b.append("account-1", closed{})                                              // 5
	b.append("account-1", deposited{Amount: 7, Note: "b"})                       // 6
	want := []string{"", "0 []", "0 []", "5 [a]", "6 [a ]", "none", "7 [b]"}
	h := b.history(0)
	for position := int64(1); position <= 6; position++ {
		for _, stream := range []string{"account-1", ""} {
			if got := b.balanceAsOf(h, "1", stream, Moment{Position: position}); got != want[position] {
				t.Errorf("as of %d, stream %q: %s, want %s", position, stream, got, want[position])
			}
		}
	}
	if got := b.balanceAsOf(h, "3", "account-3", Moment{Position: 6}); got != "none" {
		t.Errorf("a row that never was is %s", got)
	}
	_, _, err := AsOf(t.Context(), h, newAccounts(1), "1", "", Moment{Position: 7})
	if !errors.Is(err, ErrAhead) {
		t.Errorf("as of 7 of 6: %v, want ErrAhead", err)
	}
}

// A row that events of several streams touch takes the log to know.
func TestARowOfManyStreamsIsFoldedFromTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append("account-1", deposited{Amount: 10})
	b.append("account-2", opened{})
	b.append("account-1", transferred{To: []string{"2", "3"}, Amount: 4})
	b.append("account-2", deposited{Amount: 1})
	for position, want := range map[int64]string{2: "0 []", 3: "4 []", 4: "5 []"} {
		if got := b.balanceAsOf(b.history(0), "2", "", Moment{Position: position}); got[:1] != want[:1] {
			t.Errorf("as of %d: %s, want %s", position, got, want)
		}
	}
	_, _, err := AsOf(t.Context(), b.history(3), newAccounts(1), "2", "", Moment{Position: 4})
	if !errors.Is(err, ErrLongHistory) {
		t.Errorf("4 events, 3 allowed: %v, want ErrLongHistory", err)
	}
	if got := b.balanceAsOf(b.history(3), "2", "", Moment{Position: 3}); got != "4 []" {
		t.Errorf("3 events, 3 allowed: %s, want 4 []", got)
	}
}

func TestARowIsAsOfATime(t *testing.T) {
	t.Parallel()
	clock := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	b := newJudged(t, memstore.New(memstore.Config{Now: func() time.Time { return clock }}))
	for i := range 3 {
		b.append("account-1", deposited{Amount: 1, Note: fmt.Sprint(i)})
		clock = clock.Add(time.Hour)
	}
	for at, want := range map[string]string{
		"11:59:59": "none", "12:00:00": "1 [0]", "12:59:59": "1 [0]", "13:00:00": "2 [0 1]", "23:00:00": "3 [0 1 2]",
	} {
		moment, err := time.Parse(time.DateTime, "2026-01-01 "+at)
		if err != nil {
			t.Fatal(err)
		}
		for _, stream := range []string{"account-1", ""} {
			if got := b.balanceAsOf(b.history(0), "1", stream, Moment{RecordedAt: moment}); got != want {
				t.Errorf("as of %s, stream %q: %s, want %s", at, stream, got, want)
			}
		}
	}
}

// A projection sees what a stream does not show any more, and so must its past.
func TestHiddenEventsCountInThePast(t *testing.T) {
	t.Parallel()
	for name, hide := range map[string]func(eventstore.StreamManager) error{
		"truncated": func(s eventstore.StreamManager) error {
			return s.SetStreamMetadata(t.Context(), "account-1", eventstore.StreamMetadata{TruncateBefore: 1})
		},
		"too old": func(s eventstore.StreamManager) error {
			return s.SetStreamMetadata(t.Context(), "account-1", eventstore.StreamMetadata{MaxAge: 1})
		},
		"deleted": func(s eventstore.StreamManager) error {
			_, err := s.DeleteStream(t.Context(), "account-1", eventstore.Any)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.append("account-1", deposited{Amount: 1, Note: "a"})
			b.append("account-1", deposited{Amount: 1, Note: "b"})
			b.append("account-11", deposited{Amount: 5, Note: "other"})
			if err := hide(b.store.(eventstore.StreamManager)); err != nil {
				t.Fatal(err)
			}
			if got := b.balanceAsOf(b.history(0), "1", "account-1", Moment{Position: 2}); got != "2 [a b]" {
				t.Errorf("as of 2: %s, want 2 [a b]", got)
			}
		})
	}
}

func TestWhatWasSkippedIsNotInThePast(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append("account-1", deposited{Amount: 1, Note: "a"})
	b.append("account-1", deposited{Amount: 1, Note: "refuse"})
	b.append("account-1", deposited{Amount: 1, Note: "b"})
	if _, _, err := AsOf(t.Context(), b.history(0), newAccounts(1), "1", "account-1", Moment{Position: 3}); !errors.Is(err, errTooMuch) {
		t.Errorf("AsOf over an event that cannot be applied: %v, want its error", err)
	}
	b.start(b.runner(newAccounts(1)))
	b.reaches("accounts", operations.Failed, 1)
	if _, err := b.admin.Skip(t.Context(), "accounts", 0, "test", "test"); err != nil {
		t.Fatal(err)
	}
	if got := b.balanceAsOf(b.history(0), "1", "account-1", Moment{Position: 3}); got != "2 [a b]" {
		t.Errorf("as of 3: %s, want 2 [a b]", got)
	}
}

func TestHistoryNeedsALog(t *testing.T) {
	t.Parallel()
	if _, err := NewHistory(HistoryConfig{}); err == nil {
		t.Error("NewHistory without a log is no error")
	}
	b := newBench(t)
	f := NewFold[string, account](Table{Name: "empty", Version: 1})
	if _, _, err := AsOf(t.Context(), b.history(0), f, "1", "", Moment{}); err == nil {
		t.Error("AsOf of a fold with mistakes is no error")
	}
}
