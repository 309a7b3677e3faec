package app

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/queries"
	"github.com/57528e99/recount/sagas"
)

const (
	// timerInterval is how long a timer is not known of at most: for as long nobody looks.
	timerInterval = time.Second
	// timersAtOnce is how many that are due are told at once.
	timersAtOnce = 32
	// toldFor is after how long those that were told, and are there still, are told again.
	toldFor = time.Minute
	// othersWait is how long after its time a timer is told by whoever has not the first partition: the one that has it may lack the
	// definition, or be gone.
	othersWait = 5 * time.Second
)

// timers tell instances of sagas whose time has come: at once, if this process has the first partition of the steps of the saga. The instance
// decides whether it has: a second process that tells it the same changes nothing.
type timers struct {
	service *Service
	loop    background.Service
	wake    chan struct{}
	// told are those of the last look, with their numbers: their rows may still be there.
	told map[sagas.TimerKey]int64
	// forgot is when those were forgotten the last time, and schedules looked at: an operator may have ended what was to begin their next time.
	forgot time.Time
	// at is up to where the read model must have come. Default: it need not.
	at eventstore.Token
}

func newTimers(s *Service) *timers { return &timers{service: s, wake: make(chan struct{}, 1)} }

func (t *timers) start(ctx context.Context) error {
	return t.loop.Start(ctx, func(context.Context) ([]background.Task, error) { return []background.Task{t.run}, nil })
}

func (t *timers) run(ctx, _ context.Context) {
	logger := t.service.Logger
	loop := background.Loop{Idle: 2 * timerInterval, Wake: t.wake, Failed: func(err error, pause time.Duration) {
		logger.Warn().Err(err).Dur("pause", pause).Msg("timers of sagas wait")
	}}
	_ = loop.Run(ctx, func(ctx context.Context) (background.Next, error) {
		if time.Since(t.forgot) >= toldFor {
			t.told, t.forgot = nil, time.Now()
			if err := t.service.beginSchedules(ctx); err != nil {
				logger.Warn().Err(err).Dur("pause", toldFor).Msg("schedules wait")
			}
		}
		next, err := t.fire(ctx, func(saga string) time.Duration {
			if t.service.Deliverer.Owns(sagas.StepsName(saga), 0) {
				return 0
			}
			return othersWait
		})
		if errors.As(err, new(*panicError)) { // it keeps no others waiting, so there is no longer pause
			logger.Error().Err(err).Dur("pause", toldFor).Msg("a timer of a saga waits")
			err = nil
		}
		pause := timerInterval
		if until := next.Sub(t.service.Sagas.Now()); !next.IsZero() && until < pause {
			pause = max(until, time.Millisecond)
		}
		time.AfterFunc(pause, func() { background.Wake(t.wake) })
		return background.Idle, err
	})
}

// FireTimers tells all instances of sagas whose time has come. A Service that delivers does so by itself; this is for tests, see package
// apptest.
func (s *Service) FireTimers(ctx context.Context) (err error) {
	if s.Sagas == nil {
		return nil
	}
	if err := s.beginSchedules(ctx); err != nil {
		return err
	}
	t := newTimers(s)
	if t.at, err = s.Log.Head(ctx); err == nil {
		_, err = t.fire(ctx, func(string) time.Duration { return 0 })
	}
	return err
}

// fire tells all instances whose time came a while ago, and returns when the next is to be told: zero, if there is none.
func (t *timers) fire(ctx context.Context, wait func(saga string) time.Duration) (next time.Time, _ error) {
	told := make(map[sagas.TimerKey]int64)
	var errs []error
	for _, saga := range t.service.Sagas.Names() {
		at, err := t.fireOf(ctx, saga, wait(saga), told)
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
		errs = append(errs, err)
	}
	t.told = told
	return next, errors.Join(errs...)
}

func (t *timers) fireOf(ctx context.Context, saga string, wait time.Duration, told map[sagas.TimerKey]int64) (next time.Time, _ error) {
	due := t.service.Sagas.Now().Add(-wait)
	// One is enough to see that none is due.
	list := queries.List{Where: map[string]any{"saga": saga}, OrderBy: "fire_at", Limit: 1, Token: t.at}
	var panicked error
	for {
		page, err := queries.Find(ctx, t.service.Reader, sagas.Timers, list)
		if err != nil {
			return next, errors.Join(panicked, err)
		}
		var late []timer
		for _, item := range page.Items {
			if item.Row.FireAt.After(due) {
				next = item.Row.FireAt.Add(wait)
				break
			}
			if t.told[item.Key] == item.Row.Number {
				told[item.Key] = item.Row.Number
			} else {
				late = append(late, item)
			}
		}
		if len(late) > 0 && list.Limit == 1 {
			if paused, err := t.isPaused(ctx, saga); paused || err != nil {
				return time.Time{}, err
			}
			// With the others: one that takes long keeps few of them waiting.
			list.Limit, next = queries.MaxLimit, time.Time{}
			continue
		}
		err = t.tell(ctx, late, told)
		if errors.As(err, new(*panicError)) {
			panicked, err = err, nil
		}
		if err != nil || !next.IsZero() || page.Next == "" {
			return next, errors.Join(panicked, err)
		}
		list.Cursor, list.Limit = page.Next, queries.MaxLimit
	}
}

// isPaused reports whether an operator has paused a saga: nobody delivers its steps then.
func (t *timers) isPaused(ctx context.Context, saga string) (bool, error) {
	s, steps := t.service, sagas.StepsName(saga)
	if s.Subscriptions == nil || s.Deliverer != nil && s.Deliverer.Owns(steps, 0) {
		return false, nil
	}
	is, err := s.Subscriptions.Get(ctx, steps)
	if errors.Is(err, delivery.ErrNotFound) {
		return false, nil
	}
	return is.Definition.Paused, err
}

type timer = queries.Item[sagas.TimerKey, sagas.TimerRow]

// tell tells instances that their time has come. The error is that of one of them: of one that panics, if there is one.
func (t *timers) tell(ctx context.Context, late []timer, told map[sagas.TimerKey]int64) (err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	places := make(chan struct{}, timersAtOnce)
	for _, one := range late {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			up := sagas.TimeUp{Step: one.Key.Step, Number: one.Row.Number}
			ctx := failpoint.About(ctx, one.Key.ID, one.Key.Step, "timer")
			failed := failpoint.FailIn(ctx, failpoint.SagaTimer)
			if failed == nil {
				failed = t.tellOne(ctx, one, up)
			}
			if failed == nil {
				failed = failpoint.FailIn(ctx, failpoint.SagaRecorded)
			}
			mu.Lock()
			defer mu.Unlock()
			if missing := new(sagas.NoVersionError); failed != nil && !errors.As(failed, &missing) { // another program has the version
				isPanic := errors.As(failed, new(*panicError))
				if isPanic || !errors.As(err, new(*panicError)) {
					err = failed
				}
				if !isPanic { // it would again
					return
				}
			}
			told[one.Key] = one.Row.Number
		})
	}
	all.Wait()
	return err
}

// tellOne tells an instance that a time has come: because its step has begun.
func (t *timers) tellOne(ctx context.Context, one timer, up sagas.TimeUp) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{fmt.Errorf("saga %s, instance %s, step %s: panic: %v\n%s", one.Key.Saga, one.Key.ID, up.Step, r, debug.Stack())}
		}
	}()
	why, err := t.service.Sagas.Because(ctx, sagas.KeyOf(one.Key.Saga, one.Key.ID, up.Number))
	if err != nil {
		return err
	}
	_, err = t.service.Sagas.Do(ctx, one.Key.Saga, one.Key.ID, up, why)
	return err
}

// panicError is a panic of a function of a definition.
type panicError struct{ error }
