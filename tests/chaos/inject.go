package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errNothing is returned for a fault that found nothing to break, such as a
// process that is down already.
var errNothing = errors.New("nothing to break")

// injector carries a plan out.
type injector struct {
	run *run
	// postgres is held by faults that break all of PostgreSQL, one at a time.
	postgres sync.Mutex

	mu       sync.Mutex
	injected map[Kind]int
	missed   map[Kind]int
}

func newInjector(r *run) *injector {
	return &injector{run: r, injected: make(map[Kind]int), missed: make(map[Kind]int)}
}

// struck counts a fault that has happened.
func (j *injector) struck(k Kind) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.injected[k]++
}

// carryOut breaks what the plan says when it says so, and returns when the last
// fault is over. Faults of different targets overlap.
func (j *injector) carryOut(ctx context.Context, plan Plan) {
	begin := time.Now()
	var under sync.WaitGroup
	defer under.Wait()
	for _, f := range plan {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(begin.Add(f.At))):
		}
		under.Go(func() { j.one(ctx, f) })
	}
}

func (j *injector) one(ctx context.Context, f Fault) {
	err := j.inject(ctx, f)
	switch {
	case errors.Is(err, errNothing):
		j.mu.Lock()
		j.missed[f.Kind]++
		j.mu.Unlock()
	case err != nil:
		j.run.problem(fmt.Errorf("%s: %w", f, err))
	}
	j.run.note("%s %v", f, orDone(err))
}

func orDone(err error) any {
	if err == nil {
		return ""
	}
	return err
}

// inject carries one fault out. Faults at a COMMIT are counted when it comes.
func (j *injector) inject(ctx context.Context, f Fault) error {
	switch f.Kind {
	case Kill, KillAtPoint, Freeze:
		return j.process(ctx, f)
	case CutBefore, CutAfter, HoldCommit, DelayCommit:
		j.run.gates[f.Target].arm(f)
		return nil
	case CutAll, Deafen:
		return j.network(ctx, f)
	case Leave, Pause, Redefine, Outage:
		return j.delivery(ctx, f)
	default:
		j.postgres.Lock()
		defer j.postgres.Unlock()
		return j.database(ctx, f)
	}
}

// process breaks a process.
func (j *injector) process(ctx context.Context, f Fault) error {
	p := j.run.processes[f.Target]
	switch f.Kind {
	case Freeze:
		if !p.freeze() {
			return errNothing
		}
		j.struck(f.Kind)
		wait(ctx, f.For)
		p.thaw()
		return nil
	case KillAtPoint:
		// It is counted when the process has died of it.
		if !p.kill(fmt.Sprintf("%s=kill@%d", f.Point, f.Hit)) {
			return errNothing
		}
		j.struck(Kill)
		return nil
	default:
		if !p.kill("") {
			return errNothing
		}
		j.struck(f.Kind)
		return nil
	}
}

// network breaks the connections of a process.
func (j *injector) network(ctx context.Context, f Fault) error {
	g := j.run.gates[f.Target]
	if f.Kind == CutAll {
		if g.proxy.Cut() == 0 {
			return errNothing
		}
		j.struck(f.Kind)
		return nil
	}
	g.proxy.DropNotifications(true)
	j.struck(f.Kind)
	wait(ctx, f.For)
	g.proxy.DropNotifications(false)
	return nil
}

// counts returns how many faults of each kind have happened.
func (j *injector) counts() map[Kind]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	counts := make(map[Kind]int, len(j.injected))
	for k, n := range j.injected {
		counts[k] = n
	}
	for _, p := range j.run.processes {
		counts[KillAtPoint] += p.counts().AtPoints
	}
	return counts
}

// wait waits for a time, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
