package work

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// Changed is what a reader was told of a log that is not the one that it had
// read.
type Changed struct {
	Reader string `json:"reader"`
	// Incarnation and Position are where the reader was, LastCommon is where it
	// was told to go on from.
	Incarnation int64 `json:"incarnation"`
	Position    int64 `json:"position"`
	LastCommon  int64 `json:"last_common"`
}

// ChangedFile is where a reader records what it was told of a changed log, one
// Changed on each line.
func ChangedFile(dir, name string) string { return filepath.Join(dir, name+".changed") }

// runReader follows the log from where the process before ended.
func runReader(ctx context.Context, s Spec) (err error) {
	path := HistoryFile(s.Dir, s.Name)
	recorder, err := logcheck.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, recorder.Close()) }()
	past, err := logcheck.Load(path)
	if err != nil {
		return err
	}
	changes, err := lastChanged(s)
	if err != nil {
		return err
	}
	r := &reader{spec: s, recorder: recorder, next: max(s.From, 1), rng: rand.New(rand.NewPCG(s.Seed, uint64(len(past.Batches))))}
	for _, b := range past.Batches {
		r.session, r.next, r.incarnation = b.Session, b.Next, b.Incarnation
	}
	if changes.LastCommon > 0 && changes.Incarnation == r.incarnation {
		// It was told, and was killed before it got anything of the new incarnation.
		r.next, r.incarnation = changes.LastCommon+1, 0
	}
	pool, store, err := open(ctx, s)
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	for ctx.Err() == nil {
		err := r.follow(ctx, store)
		if ctx.Err() == nil {
			say("follow from %d: %v", r.next, err)
			err = r.changed(err)
		}
		if ctx.Err() == nil && err != nil {
			return errors.Join(err, closeLog(pool, store))
		}
		pause(ctx, 20*time.Millisecond)
	}
	return closeLog(pool, store)
}

type reader struct {
	spec     Spec
	recorder *logcheck.Recorder
	rng      *rand.Rand
	session  int
	// next is the position to go on with, incarnation that of the log that
	// the ones before are of; 0: not known.
	next, incarnation int64
}

// follow reads until something breaks.
func (r *reader) follow(ctx context.Context, store *pgstore.Store) error {
	opts := eventstore.ReadOptions{From: r.next, Filter: eventstore.Filter{Categories: r.spec.Categories}, PageSize: 1 + r.rng.IntN(2000)}
	if r.incarnation > 0 {
		head, err := store.Head(ctx)
		if err != nil {
			return err
		}
		opts.From, opts.After = 0, eventstore.Token{Log: head.Log, Incarnation: r.incarnation, Position: r.next - 1}
	}
	r.session++
	for batch, err := range store.Subscribe(ctx, opts) {
		if err != nil {
			return err
		}
		r.recorder.Batch(logcheck.BatchOf(r.spec.Name, r.session, r.next, batch))
		r.next, r.incarnation = batch.Next, batch.Head.Incarnation
	}
	return nil
}

// changed notes that the log is another and goes back to what both have in
// common.
func (r *reader) changed(err error) error {
	var changed *eventstore.LogChangedError
	if !errors.As(err, &changed) {
		return nil
	}
	j, err := logcheck.OpenLines(ChangedFile(r.spec.Dir, r.spec.Name))
	if err != nil {
		return err
	}
	err = j.Append(Changed{r.spec.Name, r.incarnation, r.next - 1, changed.LastCommon})
	r.next, r.incarnation = changed.LastCommon+1, 0
	return errors.Join(err, j.Close())
}

func lastChanged(s Spec) (last Changed, err error) {
	all, err := LoadChanged(s.Dir, s.Name)
	if len(all) > 0 {
		last = all[len(all)-1]
	}
	return last, err
}
