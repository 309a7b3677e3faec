package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/operations"
)

// fate is what becomes of a rebuild on its way.
type fate int

const (
	succeeds  fate = iota
	isKilled       // its process ends, and another goes on
	cancelled      // by an operator
)

// TestRebuiltRowsAreTheFoldOfTheLog lets random histories happen, with what fails skipped, and
// rebuilds, verifies, rolls back, repairs and changes over to another version between them, in much memory
// and in little. Events come while a rebuild runs, and some are killed or cancelled after one of
// their steps. At the end the rows are the fold of the log, and the feed of their changes is what each event changed.
func TestRebuiltRowsAreTheFoldOfTheLog(t *testing.T) {
	t.Parallel()
	failpoint.On(t, nil) // skips now what would skip in the middle
	b := newBench(t)
	seen := make(map[fate]int)
	rapid.Check(t, func(t *rapid.T) {
		store := memstore.New(memstore.Config{})
		l := &bench{TB: b.TB, db: b.db, store: store, codec: b.codec, admin: NewAdmin(b.db.Pool, b.db.Schema, store)}
		name, version := fmt.Sprintf("accounts%d", projectionsMade.Add(1)), 1
		pool := l.newPool()
		defer pool.Close()
		var f *Fold[string, account]
		newRunner := func(version int) *Runner {
			f = newAccounts(version)
			f.table.Name, f.table.Changes = name, NewAndOld
			c := l.config()
			c.Pool, c.BatchSize = pool, 3
			r, err := NewRunner(c, f)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		lives := l.start(newRunner(version))
		defer func() { l.stop(lives) }()
		const released operations.Kind = "released"
		kinds := rapid.SampledFrom([]operations.Kind{Rebuild, Rollback, Repair, released, "", "", "", ""})
		for _, s := range histories.Draw(t, "history") {
			if len(s.events) > 0 {
				l.append(s.stream, s.events...)
			}
			kind := kinds.Draw(t, "kind")
			if kind == "" {
				continue
			}
			if kind == released {
				version++
				lives = l.release(func(version int) *Runner { return l.start(newRunner(version)) }, version, lives, rapid.Bool().Draw(t, "first"))
				continue
			}
			l.finish(f.Name())
			if kind == Repair {
				if err := l.breakAndRepair(newRunner(version), f, s.stream[len("account-"):]); err != nil {
					t.Fatal(err)
				}
				continue
			}
			request := operations.Request{Kind: kind, Subject: f.Name(), Actor: "test",
				Options: operations.Options{Workers: rapid.IntRange(1, 3).Draw(t, "workers"), Verify: true}}
			ends := succeeds
			if kind == Rebuild {
				ends = rapid.SampledFrom([]fate{succeeds, succeeds, succeeds, cancelled, isKilled}).Draw(t, "fate")
			}
			at := rapid.IntRange(1, 3).Draw(t, "step")
			if err := l.operate(newRunner(version), request, ends, at, s.stream); err != nil {
				t.Fatal(err)
			}
			seen[ends]++
		}
		l.finish(f.Name())
		if err := l.compare(f); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%d operations succeeded, %d were killed, %d cancelled", seen[succeeds], seen[isKilled], seen[cancelled])
}

// operate runs an operation to its end, on which others may have a part. When it has come some
// steps, if it has so many, an event comes and its fate overtakes it.
func (b *bench) operate(r *Runner, request operations.Request, ends fate, at int, stream string) error {
	id, cl, err := r.begin(b.Context(), request)
	if errors.Is(err, ErrNoGeneration) {
		return nil
	}
	if err != nil {
		return err
	}
	var kill context.CancelCauseFunc
	var steps atomic.Int64 // rows are copied by several at once
	step := func() {
		if steps.Add(1) != int64(at) {
			return
		}
		b.append(stream, deposited{Amount: 7, Note: "late"})
		switch ends {
		case isKilled:
			kill(errKilled)
		case cancelled:
			// Cancel would wait for what waits here.
			if _, err := r.catalog.operations.RequestCancel(b.Context(), id); err != nil {
				b.Errorf("ask to cancel: %v", err)
			}
		}
	}
	ctx, kill := context.WithCancelCause(atSteps(b, step))
	defer kill(nil)
	if ends == isKilled {
		x, result, workErr := r.work(ctx, cl)
		if ctx.Err() == nil { // a killed process does not clean up
			err = cl.Do(ctx, worked{x, result, workErr}, zerolog.Nop())
		}
	} else {
		err = r.execute(ctx, cl, nil)
	}
	// If the claim is lost it is left to whoever claims it next.
	var ended *operations.EndedError
	if err != nil && !errors.As(err, &ended) && !lease.IsAway(err) {
		return err
	}
	var op operations.Operation
	b.eventually(func() error {
		if op, err = b.admin.Operation(b.Context(), id); err == nil && op.State == operations.Running {
			err = fmt.Errorf("the operation is still running: %+v", op)
		}
		return err
	})
	nowhere := request.Kind == Rollback && strings.Contains(op.Error, ErrNoGeneration.Error())
	if op.State == operations.Done || nowhere || ends == cancelled && op.State == operations.Cancelled {
		return nil
	}
	return fmt.Errorf("an operation with fate %d ended as %+v", ends, op)
}
