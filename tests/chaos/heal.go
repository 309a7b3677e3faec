package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/tests/chaos/work"
)

const (
	// appendWithin and headWithin are how soon after the last fault the system is
	// to work again.
	appendWithin = 10 * time.Second
	headWithin   = 10 * time.Second
	// patience is how long the harness waits for it, to say how late it is.
	patience = 45 * time.Second
)

// heal mends all that may be broken, and ends the failpoints that were not met yet. Processes that
// are down come back by themselves.
func (r *run) heal(ctx context.Context) error {
	if err := r.endFailpoints(); err != nil {
		return err
	}
	for _, g := range r.gates {
		g.disarm()
		g.proxy.DropNotifications(false)
	}
	for _, p := range r.processes {
		p.thaw()
	}
	if err := r.cluster.revive(ctx); err != nil {
		return err
	}
	if err := r.persist(ctx, `UPDATE chaos.knobs SET step = '0', rollbacks = 0, mended = true`); err != nil || r.receiver == nil {
		return err
	}
	r.receiver.mend()
	return r.resumeAll(ctx)
}

func (r *run) endFailpoints() error {
	return os.WriteFile(filepath.Join(r.dir, healedFile), nil, 0o644)
}

// recover heals and measures how long it takes until the system works again.
func (r *run) recover(ctx context.Context) (logcheck.Recovery, error) {
	if err := r.heal(ctx); err != nil {
		return logcheck.Recovery{}, err
	}
	recovery := logcheck.Recovery{Over: time.Now(), AtHead: make(map[string]time.Time)}
	head := r.head(ctx)
	r.note("healed at position %d", head)
	if err := r.appendFresh(ctx); err == nil {
		recovery.Appended = time.Now()
	} else {
		r.note("a fresh append: %v", err)
	}
	r.awaitHead(ctx, head, recovery.AtHead)
	return recovery, nil
}

// appendFresh appends as a process does that begins now.
func (r *run) appendFresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pool, err := pgxpool.New(ctx, r.cluster.dsn())
	if err != nil {
		return err
	}
	defer pool.Close()
	store, err := pgstore.Open(ctx, pgstore.Config{Pool: pool})
	if err != nil {
		return err
	}
	_, err = store.Append(ctx, eventstore.StreamAppend{
		Stream: "chaos-healed", Expected: eventstore.Any, Events: []eventstore.Event{{Type: healedType, Data: []byte("{}")}},
	}, eventstore.AppendOptions{})
	return errors.Join(err, store.Close(ctx))
}

// healedType is the type of the harness's own events.
const healedType = "ChaosHealed"

// awaitHead notes when each projection and reader has come to a position. If some do not in time it
// writes down what keeps them.
func (r *run) awaitHead(ctx context.Context, head int64, at map[string]time.Time) {
	begun, looked := time.Now(), false
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && ctx.Err() == nil; wait(ctx, 50*time.Millisecond) {
		missing := false
		for name, position := range r.positions(ctx) {
			if before, seen := at[name]; seen && !before.IsZero() {
				continue
			}
			at[name] = time.Time{}
			if position >= head {
				at[name] = time.Now()
			} else {
				missing = true
			}
		}
		if !missing && len(at) > 0 {
			return
		}
		if !looked && time.Since(begun) > headWithin {
			looked = true
			r.lookAround(ctx, fmt.Sprintf("not all have come to position %d in %s", head, headWithin))
		}
	}
}

// positions returns how far projections and readers have come.
func (r *run) positions(ctx context.Context) map[string]int64 {
	positions := make(map[string]int64)
	for _, p := range r.ofRole(roleReader) {
		positions[p.name] = lastRead(work.HistoryFile(r.dir, p.name))
	}
	err := r.onDatabase(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT projection, position FROM recount.projection_generations WHERE serving`)
		if err != nil {
			return err
		}
		var name string
		var position int64
		_, err = pgx.ForEachRow(rows, []any{&name, &position}, func() error {
			positions["projection "+name] = position
			return nil
		})
		return err
	})
	if err != nil {
		r.note("look at projections: %v", err)
		return map[string]int64{"the database": -1}
	}
	return positions
}

// quiesce stops those that append, waits until all others have everything, and
// stops those too. Servers are last, since importers and clients need them.
func (r *run) quiesce(ctx context.Context) (found []logcheck.Violation) {
	r.awaitImport(ctx)
	found = append(found, r.stopAll(roleWriter, roleClient, roleImporter, roleOperator)...)
	head := r.head(ctx)
	at := make(map[string]time.Time)
	over := time.Now()
	r.awaitHead(ctx, head, at)
	found = append(found, logcheck.Converged(logcheck.Recovery{Over: over, Appended: over, AtHead: at}, appendWithin, headWithin)...)
	found = append(found, r.awaitOperations(ctx, patience)...)
	found = append(found, r.settle(ctx)...)
	r.checkGoroutines(ctx)
	// Who delivers tells the log of what failed when it stops.
	found = append(found, r.stopAll(roleDeliverer, roleServer)...)
	r.awaitReaders(ctx, r.head(ctx))
	return append(found, r.stopAll(roleReader, roleProjector)...)
}

// awaitReaders waits until all readers have come to a position. Whether they have, a check says.
func (r *run) awaitReaders(ctx context.Context, position int64) {
	behind := func(p *process) bool { return lastRead(work.HistoryFile(r.dir, p.name)) < position }
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && ctx.Err() == nil; wait(ctx, 50*time.Millisecond) {
		if !slices.ContainsFunc(r.ofRole(roleReader), behind) {
			return
		}
	}
}

// awaitImport waits until the importer is done: what it has done before it was
// killed it must not have to do again.
func (r *run) awaitImport(ctx context.Context) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); wait(ctx, 100*time.Millisecond) {
		done := true
		for _, p := range r.ofRole(roleImporter) {
			done = done && p.counts().Finished
		}
		if done || ctx.Err() != nil {
			return
		}
	}
}

// awaitOperations waits until servers have done what an operator that was killed
// had begun. Whether it was done well the product's verification says.
func (r *run) awaitOperations(ctx context.Context, within time.Duration) []logcheck.Violation {
	for deadline := time.Now().Add(within); ; wait(ctx, 50*time.Millisecond) {
		running := 0
		err := r.onDatabase(ctx, func(conn *pgx.Conn) error {
			return conn.QueryRow(ctx, `SELECT count(*) FROM recount.projection_operations WHERE state = 'running'`).Scan(&running)
		})
		switch late := time.Now().After(deadline) || ctx.Err() != nil; {
		case err == nil && running == 0:
			return nil
		case late && err != nil:
			return []logcheck.Violation{{Rule: logcheck.RuleConverged, Text: fmt.Sprintf("whether operations still run is not known: %v", err)}}
		case late:
			return []logcheck.Violation{{Rule: logcheck.RuleConverged, Text: fmt.Sprintf("%d operations still run after %s", running, within)}}
		}
	}
}

// stopAll stops the processes of some roles, which are to end in good order.
func (r *run) stopAll(roles ...role) (found []logcheck.Violation) {
	type end struct {
		name, exit string
		orderly    bool
	}
	processes := r.ofRole(roles...)
	ends := make(chan end)
	for _, p := range processes {
		go func() {
			exit, orderly := p.stop(30 * time.Second)
			ends <- end{p.name, exit, orderly}
		}()
	}
	for range processes {
		if e := <-ends; !e.orderly {
			found = append(found, logcheck.Violation{Rule: logcheck.RuleLeaks,
				Text: fmt.Sprintf("%s did not end in good order when it was asked to: %s, see its log", e.name, e.exit)})
		}
	}
	return found
}
