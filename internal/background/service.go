package background

import (
	"context"
	"errors"
	"sync"
)

// ErrStarted is returned by a second Start, and by one after Stop.
var ErrStarted = errors.New("it was started before")

// Task is work that goes on until soft is done; what it is in the middle of then it finishes,
// unless hard is done too.
type Task func(soft, hard context.Context)

// Service runs tasks from Start to Stop. Its zero value is one that was not started.
type Service struct {
	mu      sync.Mutex
	started bool
	// stop ends soft, abort hard.
	stop, abort context.CancelFunc
	done        chan struct{}
}

// Start calls begin and runs the tasks that it returns until Stop, or until ctx is done. An error
// of begin is returned, with nothing started.
func (s *Service) Start(ctx context.Context, begin func(context.Context) ([]Task, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return ErrStarted
	}
	tasks, err := begin(ctx)
	if err != nil {
		return err
	}
	s.started = true
	hard, abort := context.WithCancel(context.WithoutCancel(ctx))
	soft, stop := context.WithCancel(ctx)
	s.stop, s.abort = stop, abort
	done := s.stopped()
	var running sync.WaitGroup
	for _, task := range tasks {
		running.Go(func() { task(soft, hard) })
	}
	go func() {
		running.Wait()
		stop()
		abort()
		close(done)
	}()
	return nil
}

// Stop lets the tasks finish what they are in the middle of, and waits. If ctx ends before that
// they are cut off and the error is ctx's. It may be called more than once, also before Start,
// which then fails.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	done := s.stopped()
	if !s.started {
		s.started = true
		s.stop, s.abort = func() {}, func() {}
		close(done)
	}
	stop, abort := s.stop, s.abort
	s.mu.Unlock()
	stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		abort()
		<-done
		return ctx.Err()
	}
}

// Stopped is closed when all tasks have ended.
func (s *Service) Stopped() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped()
}

func (s *Service) stopped() chan struct{} {
	if s.done == nil {
		s.done = make(chan struct{})
	}
	return s.done
}
