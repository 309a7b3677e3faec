// Package suitetest tests suites such as eventstore/storetest: it runs a clause against what has a fault, and
// says how the clause failed.
package suitetest

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Recorder stands for the *testing.T of a clause, and remembers how it failed.
type Recorder struct {
	ctx context.Context

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

// Failures runs a clause in a bubble, where to wait for what never comes costs no time.
func Failures(t *testing.T, clause func(*Recorder)) (failures []string) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &Recorder{ctx: ctx}
		r.run(func() { clause(r) })
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

// CheckFailures fails the test unless the clause failed, and not by a panic, which is a fault of the clause: a
// test that panics takes all others with it.
func CheckFailures(t *testing.T, clause string, failures []string) {
	t.Helper()
	if len(failures) == 0 {
		t.Errorf("the clause %q passes", clause)
		return
	}
	t.Logf("%q: %.1000s", clause, failures[0])
	for _, failure := range failures {
		if strings.Contains(failure, panicked) {
			t.Errorf("the clause %q: %s", clause, failure)
		}
	}
}

const panicked = "the clause panicked"

// run calls f in a goroutine that FailNow can end.
func (r *Recorder) run(f func()) {
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

// Errorf is that of testing.T, and so are the others.
func (r *Recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *Recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

func (r *Recorder) FailNow() {
	r.Fail()
	runtime.Goexit()
}

func (r *Recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *Recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *Recorder) Context() context.Context      { return r.ctx }
func (r *Recorder) Name() string                  { return "clause" }
func (r *Recorder) Helper()                       {}
func (r *Recorder) Logf(string, ...any)           {}
func (r *Recorder) Log(...any)                    {}
func (r *Recorder) Error(args ...any)             { r.Errorf("%s", fmt.Sprint(args...)) }
func (r *Recorder) Fail()                         { r.Errorf("failed") }
func (r *Recorder) Fatal(args ...any)             { r.Fatalf("%s", fmt.Sprint(args...)) }
func (r *Recorder) Skipf(format string, a ...any) { r.Fatalf("skipped: "+format, a...) }
func (r *Recorder) Skip(args ...any)              { r.Fatalf("skipped: %s", fmt.Sprint(args...)) }
func (r *Recorder) SkipNow()                      { r.Fatalf("skipped") }
