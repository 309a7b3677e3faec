package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/internal/background"
)

// Puller hands out events: a *Broker, or a client of a server that has one.
type Puller interface {
	Pull(ctx context.Context, subscription string, o PullOptions) ([]Pulled, error)
	Ack(ctx context.Context, subscription string, tokens ...string) ([]TokenResult, error)
	Nack(ctx context.Context, subscription string, o NackOptions, tokens ...string) ([]TokenResult, error)
	Extend(ctx context.Context, subscription string, lease time.Duration, tokens ...string) ([]TokenResult, error)
}

// WorkerConfig says what a Worker does with the events of a subscription that is pulled.
type WorkerConfig struct {
	// Source hands out the events. Required.
	Source Puller
	// Subscription is its name. Required.
	Subscription string
	// Handle does what there is to do for an event. Nil: the event is done. An error gives it back: see Permanent and RetryAfter
	// for what it may say besides. Its context ends when the worker is cut off, and when the event is another's. Required.
	Handle func(ctx context.Context, e Event) error
	// Concurrency is how many events are worked on at once. Default: 1.
	Concurrency int
	// Lease is for how long each is the worker's, which extends it for as long as Handle runs: see PullOptions. Default: 30 s.
	Lease time.Duration
	// Wait is how long to wait for events before asking again, at most MaxPullWait. Default: MaxPullWait.
	Wait time.Duration
	// UntilEmpty ends the worker when it is given nothing.
	UntilEmpty bool
	// Logger gets what fails. Default: none.
	Logger zerolog.Logger
}

// Worker pulls events and handles them, acknowledges those that are done, and gives back the others.
type Worker struct {
	c WorkerConfig
	// every is how often leases are extended.
	every   time.Duration
	service background.Service
	slots   chan struct{}
	running sync.WaitGroup
}

// NewWorker returns a Worker that is not started.
func NewWorker(c WorkerConfig) (*Worker, error) {
	if c.Source == nil || c.Subscription == "" || c.Handle == nil || c.Concurrency < 0 || c.Lease < 0 || c.Wait < 0 {
		return nil, errors.New("delivery.WorkerConfig needs a Source, a Subscription and a Handle, and nothing in it is below 0")
	}
	if c.Concurrency == 0 {
		c.Concurrency = 1
	}
	if c.Lease == 0 {
		c.Lease = 30 * time.Second
	}
	if c.Wait == 0 {
		c.Wait = MaxPullWait
	}
	if err := (&PullOptions{Wait: c.Wait, Lease: c.Lease}).check(); err != nil {
		return nil, err
	}
	return &Worker{c: c, every: c.Lease / 3, slots: make(chan struct{}, c.Concurrency)}, nil
}

// Start lets it work until Stop, or until ctx is done.
func (w *Worker) Start(ctx context.Context) error {
	return w.service.Start(ctx, func(context.Context) ([]background.Task, error) {
		return []background.Task{w.run}, nil
	})
}

// Stop takes no more events, and waits until those at hand are handled. If ctx ends before that they are cut off: others have them
// when their leases have run out; and the error is ctx's. It may be called more than once, also before Start.
func (w *Worker) Stop(ctx context.Context) error { return w.service.Stop(ctx) }

// Stopped is closed when it does nothing more.
func (w *Worker) Stopped() <-chan struct{} { return w.service.Stopped() }

func (w *Worker) run(soft, hard context.Context) {
	loop := background.Loop{Failed: func(err error, pause time.Duration) {
		w.c.Logger.Warn().Err(err).Dur("pause", pause).Msg("asking for events was interrupted")
	}}
	_ = loop.Run(soft, func(ctx context.Context) (background.Next, error) { return w.step(ctx, hard) })
	w.running.Wait()
}

// step asks for as many events as it can begin to handle.
func (w *Worker) step(soft, hard context.Context) (background.Next, error) {
	select {
	case w.slots <- struct{}{}:
	case <-soft.Done():
		return background.Done, nil
	}
	n := 1
	for free := true; free && n < min(w.c.Concurrency, MaxPull); {
		select {
		case w.slots <- struct{}{}:
			n++
		default:
			free = false
		}
	}
	events, err := w.c.Source.Pull(soft, w.c.Subscription, PullOptions{Max: n, Wait: w.c.Wait, Lease: w.c.Lease})
	for range n - len(events) {
		<-w.slots
	}
	for i := range events {
		w.running.Go(func() {
			defer func() { <-w.slots }()
			w.handle(hard, &events[i])
		})
	}
	switch {
	case err != nil:
		return background.Idle, err
	case len(events) == 0 && w.c.UntilEmpty:
		return background.Done, nil
	}
	return background.Again, nil
}

// handle handles an event, and says what became of it.
func (w *Worker) handle(hard context.Context, p *Pulled) {
	ctx, cancel := context.WithCancelCause(hard)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.extend(ctx, p.Token, cancel)
	}()
	err := w.call(ctx, p.Event)
	cause := context.Cause(ctx)
	cancel(nil)
	<-ended
	if errors.Is(cause, ErrOvertaken) || hard.Err() != nil {
		return
	}
	if err := w.settle(hard, p.Token, err); err != nil {
		w.c.Logger.Warn().Err(err).Int64("position", p.Event.Position).Msg("what became of an event could not be said: it is tried again")
	}
}

func (w *Worker) call(ctx context.Context, e Event) (err error) {
	defer recoverTo(&err)
	return w.c.Handle(ctx, e)
}

func (w *Worker) settle(ctx context.Context, token string, err error) error {
	if err == nil {
		_, err = w.c.Source.Ack(ctx, w.c.Subscription, token)
		return err
	}
	outcome, after := OutcomeOf(err)
	o := NackOptions{Error: fmt.Sprint(err), Permanent: outcome == PermanentFailure}
	if after > 0 {
		o.Delay = new(min(after, maxDelay))
	}
	_, err = w.c.Source.Nack(ctx, w.c.Subscription, o, token)
	return err
}

// extend extends the lease again and again until ctx is done. It cancels the work on an event that is another's.
func (w *Worker) extend(ctx context.Context, token string, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		results, err := w.c.Source.Extend(ctx, w.c.Subscription, w.c.Lease, token)
		switch {
		case errors.Is(err, ErrOvertaken), err == nil && len(results) > 0 && results[0].Outcome != TokenSettled:
			cancel(ErrOvertaken)
			return
		case err != nil && ctx.Err() == nil:
			w.c.Logger.Warn().Err(err).Msg("extending a lease was interrupted")
		}
	}
}
