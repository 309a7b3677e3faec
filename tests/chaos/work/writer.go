package work

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// callers is how many appends of a writer are under way at once.
const callers = 8

// writer is a process that appends.
type writer struct {
	spec     Spec
	pool     *pgxpool.Pool
	store    *pgstore.Store
	recorder *logcheck.Recorder
	pace     *pacer
	// rows has the appends that were acknowledged together with a row of the writer's.
	rows *logcheck.Lines

	mu sync.Mutex
	// versions are those of streams as they were last seen.
	versions map[string]int64
	// epochs count the streams of a name that became too long.
	epochs map[int]int
}

func runWriter(ctx context.Context, s Spec) (err error) {
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
	w := &writer{spec: s, recorder: recorder, pace: newPacer(s.Rate, s.Events), versions: make(map[string]int64), epochs: make(map[int]int)}
	if w.rows, err = logcheck.OpenLines(OwnFile(s.Dir, s.Name)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.rows.Close()) }()
	w.pool, w.store, err = open(ctx, s)
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	w.remember(past)
	open := unsettled(past)
	if len(open) > 0 {
		say("%d appends of the process before have no answer", len(open))
	}
	var callersDone sync.WaitGroup
	for n := range callers {
		// Another process must not make the same ids.
		rng := rand.New(rand.NewPCG(s.Seed, uint64(len(past.Appends))<<8|uint64(n)))
		callersDone.Go(func() { w.call(ctx, rng, every(open, n)) })
	}
	callersDone.Wait()
	return closeLog(w.pool, w.store)
}

// ignoreEnd returns nil for an error that says only that ctx has ended.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// every returns the share of a caller in a list.
func every[T any](list []T, caller int) (share []T) {
	for i := caller; i < len(list); i += callers {
		share = append(share, list[i])
	}
	return share
}

// call appends until ctx ends, one append after the other.
func (w *writer) call(ctx context.Context, rng *rand.Rand, open [][]logcheck.Append) {
	for _, attempt := range open {
		w.settle(ctx, rng, attempt)
	}
	for ctx.Err() == nil {
		if !w.spec.SkipReads && rng.IntN(25) == 0 {
			w.read(ctx, rng)
			continue
		}
		attempt := w.choose(rng)
		n := 0
		for _, part := range attempt {
			n += len(part.IDs)
		}
		if !w.pace.wait(ctx, n) {
			return
		}
		w.settle(ctx, rng, attempt)
	}
}

// settle appends, again and again if nobody knows whether it worked and it is
// safe to repeat it.
func (w *writer) settle(ctx context.Context, rng *rand.Rand, attempt []logcheck.Append) {
	for tries := 0; ; tries++ {
		// A call that has begun goes on to its end when the process is to stop.
		outcome := w.attempt(context.WithoutCancel(ctx), rng, attempt)
		switch {
		case outcome == logcheck.Acked:
			for _, part := range attempt {
				w.pace.sent(len(part.IDs))
			}
			return
		case outcome != logcheck.Unknown || !repeatable(attempt[0]) || tries == 20:
			return
		}
		if !pause(ctx, time.Duration(rng.IntN(50))*time.Millisecond) {
			return
		}
	}
}

// repeatable reports whether an append can be sent again without being stored
// again.
func repeatable(a logcheck.Append) bool { return a.Receipt != "" || isSupplied(a.IDs[0]) }

// attempt sends an append, of one part for each stream, and records it.
func (w *writer) attempt(ctx context.Context, rng *rand.Rand, parts []logcheck.Append) logcheck.Outcome {
	patience := 30 * time.Second
	if rng.IntN(25) == 0 { // a client that does not wait
		patience = time.Duration(1+rng.IntN(30)) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pending := make([]logcheck.Pending, len(parts))
	for i, part := range parts {
		pending[i] = w.recorder.Begin(part)
	}
	done, err := w.send(ctx, rng, parts)
	for i := range parts {
		var result eventstore.Appended
		if err == nil {
			result = done[i]
		}
		w.answer(pending[i], parts[i], result, err)
	}
	return outcome(err)
}

// answer records an answer and learns the stream's version of it.
func (w *writer) answer(pending logcheck.Pending, part logcheck.Append, done eventstore.Appended, err error) {
	var conflict *eventstore.ConflictError
	// The conflict may be of another part of the append.
	if errors.Is(err, errClash) || errors.As(err, &conflict) && conflict.Stream != part.Stream {
		pending.End(logcheck.Refused, 0, 0, 0)
		return
	}
	pending.Answer(done, err)
	switch {
	case err == nil:
		w.learn(part.Stream, done.Version)
	case conflict != nil:
		w.learn(part.Stream, conflict.Actual)
	default:
		say("append to %s: %v", part.Stream, err)
	}
}

// outcome says whether an append has to be repeated to know.
func outcome(err error) logcheck.Outcome {
	switch {
	case err == nil:
		return logcheck.Acked
	case errors.Is(err, eventstore.ErrConflict), errors.Is(err, eventstore.ErrIDReused), errors.Is(err, eventstore.ErrUnavailable),
		errors.Is(err, eventstore.ErrOverloaded), errors.Is(err, errClash):
		return logcheck.Refused
	}
	return logcheck.Unknown
}

func (w *writer) learn(stream string, version int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versions[stream] = max(version, w.versions[stream])
	var name, epoch int
	if _, err := fmt.Sscanf(stream, "hot-%d-%d", &name, &epoch); err == nil && version > longest {
		w.epochs[name] = max(w.epochs[name], epoch+1)
	}
}

// ids makes n ids.
func ids(rng *rand.Rand, n int, supplied bool) []uuid.UUID {
	list := make([]uuid.UUID, n)
	for i := range list {
		list[i] = newID(rng, supplied)
	}
	return list
}
