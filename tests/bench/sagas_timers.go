package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/sagas"
)

const (
	// fewTimers is what many are compared with.
	fewTimers = 1000
	// timersTogether is how many are set, and cancelled, in one append.
	timersTogether = 100
	timerRounds    = 3
)

func timerCount(n int) string { return grouped(float64(n)) + " timers" }

// reminded is what an instance begins with that has a timer.
type reminded struct {
	ID string `json:"id"`
}

// reminders is an App whose sagas wait for a month.
func reminders() app.App {
	saga := sagas.Define("reminder", 1, func(s *sagas.Steps[reminded]) {
		sagas.StartWith(s, func(e reminded) (string, reminded) { return e.ID, e })
		s.Wait("wait", month)
	})
	// A program has an aggregate at least.
	return app.App{Name: "bench", Program: "recount", Modules: []app.Module{{
		Name: benchModule, Sagas: []*sagas.Saga{saga},
		Aggregates: []app.Aggregate{app.NewAggregate[reminded, remindedEvent]("reminded", "/v1/reminded").Events(app.Event[reminded]("Reminded", 1))},
	}}}
}

type remindedEvent interface{ Evolve(reminded) reminded }

// Evolve implements commands.Event.
func (e reminded) Evolve(reminded) reminded { return e }

const month = 30 * 24 * time.Hour

// setTimer returns the events of an instance that waits, cancelTimer what ends it before its time.
func setTimer(id string, now time.Time) []streamEvent {
	stream := sagas.StreamOf("reminder", id)
	return []streamEvent{
		{stream, sagas.Started{Saga: "reminder", Version: 1, ID: id, Data: nil, At: now}},
		{stream, sagas.StepScheduled{Step: "wait", Until: now.Add(month), At: now}},
	}
}

func cancelTimer(id string, now time.Time) []streamEvent {
	stream := sagas.StreamOf("reminder", id)
	return []streamEvent{
		{stream, sagas.Intervened{Act: sagas.Terminate, Reason: "not needed", At: now}},
		{stream, sagas.StepDropped{Step: "wait", At: now}},
		{stream, sagas.Ended{Status: sagas.Terminated, At: now}},
	}
}

// timers looks at a process in which many timers wait, and sets and cancels others meanwhile. The latency is of timersTogether that are
// set and cancelled, until the read models have come so far.
func (b Sagas) timers(ctx context.Context, env *Env) (results []Result, compared map[string]float64, err error) {
	var waiting, moving []Result
	for _, n := range []int{fewTimers, b.Timers} {
		err := env.with(ctx, appenders, func(s *scratch) error {
			idle, busy, err := b.timersOf(ctx, env, s, n)
			waiting, moving = append(waiting, idle), append(moving, busy)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		if b.Timers == fewTimers {
			break
		}
	}
	compared = ratios(moving, "", timerCount(b.Timers), rate)
	waiting, _ = asked("timers waiting", waiting, nil)
	moving, compared = asked("timers set and cancelled", moving, compared)
	all := make(map[string]float64)
	maps.Copy(all, compared)
	return append(waiting, moving...), all, nil
}

func (b Sagas) timersOf(ctx context.Context, env *Env, s *scratch, n int) (idle, busy Result, err error) {
	a := reminders()
	codec, err := a.Codec()
	if err != nil {
		return idle, busy, err
	}
	env.say("setting %d timers", n)
	now := time.Now()
	if err := s.fillAppends(ctx, codec, n, func(n int) []streamEvent { return setTimer(fmt.Sprint(n), now) }); err != nil {
		return idle, busy, err
	}
	service, err := openService(ctx, a, app.Options{DSN: s.dsn, Schema: s.schema, Roles: deliversProjects})
	if err != nil {
		return idle, busy, err
	}
	defer func() { err = errors.Join(err, service.Close(ctx)) }()
	if err := untilDelivering(ctx, service); err != nil {
		return idle, busy, err
	}
	names := []string{sagas.Instances.Name(), sagas.Timers.Name()}
	reach := func(ctx context.Context) error {
		head, err := s.store.Head(ctx)
		if err != nil {
			return err
		}
		return (&follower{service.Runner, names}).reach(ctx, head)
	}
	if err := untilReached(ctx, reach); err != nil {
		return idle, busy, err
	}
	if _, err := s.pool.Exec(ctx, `VACUUM ANALYZE saga_timers`); err != nil {
		return idle, busy, err
	}
	env.say("%d timers wait for %s", n, b.Duration)
	debug.FreeOSMemory()
	i, err := s.watchIdle(ctx, b.Duration)
	if err != nil {
		return idle, busy, err
	}
	var memory memoryWatch
	memory.look()
	idle = Result{Name: timerCount(n), Callers: 1, Seconds: b.Duration.Seconds(), Rounds: []float64{}, Idle: &i, PeakMemoryMB: megabytes(memory.all)}
	last := new(atomic.Int64)
	found, err := compete(ctx, env, pace{1, b.Duration, timerRounds}, contender{timerCount(n), func(ctx context.Context, _ int) (int, error) {
		now := time.Now()
		for _, of := range []func(string, time.Time) []streamEvent{setTimer, cancelTimer} {
			var events []streamEvent
			for i := range timersTogether {
				events = append(events, of(fmt.Sprintf("more-%d-%d", last.Load(), i), now)...)
			}
			if err := appendAll(ctx, s.store, codec, events); err != nil {
				return 0, err
			}
			if err := reach(ctx); err != nil {
				return 0, err
			}
		}
		last.Add(1)
		return timersTogether, nil
	}})
	if err != nil {
		return idle, busy, err
	}
	return idle, found[0], nil
}

// untilReached waits for read models that are not there yet.
func untilReached(ctx context.Context, reach func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, fillPatience, errors.New("read models do not come so far"))
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := reach(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}
