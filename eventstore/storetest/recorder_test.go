package storetest

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
)

// recorder is a T that remembers how a clause failed.
type recorder struct {
	ctx context.Context

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

// failuresOf runs a clause against a store in a bubble, where to wait for what
// never comes costs no time.
func failuresOf(t *testing.T, c clause, newStore func() eventstore.Store) (failures []string) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &recorder{ctx: ctx}
		r.run(func() { c.run(&fixture{T: r, Store: newStore(), Recorder: new(logcheck.Recorder)}) })
		cancel()
		for _, cleanup := range slices.Backward(r.cleanups) {
			r.run(cleanup)
		}
		// Goroutines that outlive their context in this fault end by then.
		<-time.After(24 * time.Hour)
		failures = r.failures
	})
	return failures
}

// run calls f in a goroutine that FailNow can end.
func (r *recorder) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				r.Errorf("%s: %v\n%s", panicked, p, debug.Stack())
			}
		}()
		f()
	}()
	<-done
}

// panicked marks a failure that is a fault of the clause: a test that panics
// takes all others with it.
const panicked = "the clause panicked"

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

func (r *recorder) FailNow() {
	r.Fail()
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Context() context.Context      { return r.ctx }
func (r *recorder) Name() string                  { return "clause" }
func (r *recorder) Helper()                       {}
func (r *recorder) Logf(string, ...any)           {}
func (r *recorder) Log(...any)                    {}
func (r *recorder) Error(args ...any)             { r.Errorf("%s", fmt.Sprint(args...)) }
func (r *recorder) Fail()                         { r.Errorf("failed") }
func (r *recorder) Fatal(args ...any)             { r.Fatalf("%s", fmt.Sprint(args...)) }
func (r *recorder) Skipf(format string, a ...any) { r.Fatalf("skipped: "+format, a...) }
func (r *recorder) Skip(args ...any)              { r.Fatalf("skipped: %s", fmt.Sprint(args...)) }
func (r *recorder) SkipNow()                      { r.Fatalf("skipped") }
