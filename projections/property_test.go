package projections

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/operations"
)

// step is one thing that happens in a history.
type step struct {
	// events are appended to stream, if there are any.
	stream string
	events []any
	// Then the runner is stopped and started with another size of batches, or its connections are
	// cut.
	restart   bool
	batchSize int
	cut       bool
}

var histories = rapid.Custom(func(t *rapid.T) []step {
	streams := rapid.SampledFrom([]string{"account-1", "account-2", "account-3", "account-4"})
	ids := rapid.SliceOfN(rapid.SampledFrom([]string{"1", "2", "3", "5"}), 0, 3)
	event := rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return opened{Owner: rapid.Ptr(rapid.SampledFrom([]string{"ann", "bob", "eve", "ann\x00"}), true).Draw(t, "owner"),
				At: time.Unix(rapid.Int64Range(0, 1e9).Draw(t, "at"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns"))}
		case 1:
			return closed{}
		case 2, 3:
			return transferred{To: ids.Draw(t, "to"), Amount: rapid.Int64Range(-5, 5).Draw(t, "amount")}
		default:
			return deposited{Amount: rapid.Int64Range(0, 100).Draw(t, "amount"), Note: rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e", "f", "refuse"}).Draw(t, "note")}
		}
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			stream:    streams.Draw(t, "stream"),
			events:    rapid.SliceOfN(event, 0, 6).Draw(t, "events"),
			restart:   rapid.IntRange(0, 3).Draw(t, "restart") == 0,
			batchSize: rapid.IntRange(1, 12).Draw(t, "batch"),
			cut:       rapid.IntRange(0, 9).Draw(t, "cut") == 0,
		}
	}), 1, 12).Draw(t, "steps")
})

// TestRowsAreTheFoldOfTheLog runs random histories, with restarts and lost connections in the
// middle and an operator who skips what fails, and compares rows and checkpoint with a plain fold
// of the log in memory.
func TestRowsAreTheFoldOfTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	rapid.Check(t, func(t *rapid.T) {
		if err := b.live(histories.Draw(t, "history"), nil); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTheTestOfHistoriesCanFail plants the fault that matters most: rows and checkpoint that are
// not in one transaction.
func TestTheTestOfHistoriesCanFail(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	history := []step{{stream: "account-1", events: []any{deposited{Amount: 1}}}, {stream: "account-1", events: []any{deposited{Amount: 2}}}}
	if err := b.live(history, nil); err != nil {
		t.Errorf("without a fault: %v", err)
	}
	if err := b.live(history, func(p projector) projector { return &torn{projector: p} }); err == nil {
		t.Error("with rows and checkpoint in two transactions there was no error")
	}
}

var projectionsMade atomic.Int64

// live lets a history happen to a log and a projection of its own.
func (b *bench) live(history []step, wrap func(projector) projector) error {
	store := memstore.New(memstore.Config{})
	l := &bench{TB: b.TB, db: b.db, store: store, codec: b.codec, admin: NewAdmin(b.db.Pool, b.db.Schema, store)}
	f := newAccounts(1)
	f.table.Name, f.table.Changes = fmt.Sprintf("accounts%d", projectionsMade.Add(1)), NewAndOld
	pool := l.newPool()
	defer pool.Close()
	start := func(batchSize int) *Runner {
		c := l.config()
		c.Pool, c.BatchSize, c.PollInterval = pool, batchSize, time.Millisecond
		r, err := NewRunner(c, f)
		if err != nil {
			l.Fatal(err)
		}
		if wrap != nil {
			r.workers[0].runs = wrap(r.workers[0].runs)
		}
		l.eventually(func() error { return r.Start(l.Context()) }) // connections may have been cut
		return r
	}
	r := start(3)
	defer func() { l.stop(r) }()
	for _, s := range history {
		if len(s.events) > 0 {
			l.append(s.stream, s.events...)
		}
		if s.restart {
			l.stop(r)
			r = start(s.batchSize)
		}
		if s.cut {
			l.cutConnections()
		}
	}
	l.finish(f.Name())
	return l.compare(f)
}

// finish waits until the projection is at the head, and skips all that fails on the way.
func (b *bench) finish(projection string) {
	b.Helper()
	b.eventually(func() error {
		s := b.serving(projection)
		if s.State == operations.Failed {
			if _, err := b.admin.Skip(b.Context(), projection, s.Failure.Position, "history", "test"); err != nil {
				return err
			}
		}
		if s.LagEvents > 0 || s.State != operations.Running {
			return fmt.Errorf("%s is %q, %d events behind: %+v %+v", projection, s.State, s.LagEvents, s.Failure, s.Trouble)
		}
		return nil
	})
}

// serving returns the status of the generation that is read.
func (b *bench) serving(projection string) Status {
	b.Helper()
	all, err := b.admin.Show(b.Context(), projection)
	if err != nil {
		b.Fatal(err)
	}
	return all[slices.IndexFunc(all, func(s Status) bool { return s.InView })]
}

// compare folds the log in a plain way, without the events that were skipped.
func (b *bench) compare(f *Fold[string, account]) error {
	s := b.serving(f.Name())
	skips, err := b.admin.Skips(b.Context(), f.Name())
	if err != nil {
		return err
	}
	log, err := logcheck.ReadLog(b.Context(), b.store)
	if err != nil {
		return err
	}
	if s.Position != log.Head() {
		return fmt.Errorf("the checkpoint is at position %d, the log ends at %d", s.Position, log.Head())
	}
	err = logcheck.Error(logcheck.Checkpoints(log,
		logcheck.Checkpoint{Projection: f.Name(), Position: s.Position, Tally: eventstore.Tally{Events: s.Events, Digest: s.Digest}}))
	if err != nil {
		return err
	}
	want := make(map[string]account)
	for _, e := range b.events() {
		bad := model(b.codec, want, e)
		skipped := slices.ContainsFunc(skips, func(s Skip) bool { return s.Position == e.Position })
		if bad && !skipped {
			return fmt.Errorf("the event at %d cannot be applied but was not skipped", e.Position)
		}
	}
	if diff := diffRows(b.rows(f, s.Table), want); diff != "" {
		return fmt.Errorf("rows are not the fold of the log:\n%s", diff)
	}
	if f.table.Changes == "" {
		return nil
	}
	return b.compareFeed(f)
}

// model applies an event to rows, written apart from the package. It returns true, and changes
// nothing, for one that cannot be applied.
func model(codec *eventstore.Codec, rows map[string]account, recorded eventstore.RecordedEvent) (bad bool) {
	value, err := codec.Decode(recorded.Event)
	if err != nil {
		return true
	}
	id := eventstore.StreamID(recorded.Stream)
	row, ok := rows[id]
	switch e := value.(type) {
	case opened:
		if e.Owner != nil && *e.Owner == "ann\x00" {
			return true
		}
		row.Owner, row.OpenedAt = e.Owner, e.At.UTC().Truncate(time.Microsecond)
		rows[id] = row
	case deposited:
		if e.Note == "refuse" {
			return true
		}
		row.Balance += e.Amount
		row.Notes = append(slices.Clone(row.Notes), e.Note)
		row.Touched++
		rows[id] = row
	case transferred:
		if !ok && !slices.Contains(e.To, id) {
			return true
		}
		for _, to := range e.To {
			other := rows[to]
			other.Balance += e.Amount
			rows[to] = other
		}
		row = rows[id]
		row.Balance -= e.Amount * int64(len(e.To))
		rows[id] = row
	case closed:
		delete(rows, id)
	}
	return false
}
