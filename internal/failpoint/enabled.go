//go:build failpoints && linux

package failpoint

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// Enabled reports whether this program has failpoints.
const Enabled = true

var armed = make(map[Point]*trap)

// trap is a setting, and how often its point was hit.
type trap struct {
	setting
	hits atomic.Int64
}

func init() {
	settings, err := parseSettings(os.Getenv("RECOUNT_FAILPOINTS"))
	if err != nil {
		fmt.Fprintf(os.Stderr, "RECOUNT_FAILPOINTS: %v\n", err)
		os.Exit(2)
	}
	for _, s := range settings {
		armed[s.point] = &trap{setting: s}
	}
}

// Hit marks a point. What RECOUNT_FAILPOINTS says of it happens now.
func Hit(p Point) { _ = Fail(p) }

// HitIn is Hit in a context that may be one of On, or of OnAll.
func HitIn(ctx context.Context, p Point) { _ = FailIn(ctx, p) }

// FailIn is HitIn at a point that can also fail: as its Watch says, else as Fail.
func FailIn(ctx context.Context, p Point) error {
	if calls, ok := ctx.Value(callsKey{}).(Calls); ok && calls[p] != nil {
		calls[p]()
	}
	if watch, ok := ctx.Value(watchKey{}).(Watch); ok {
		about, _ := ctx.Value(aboutKey{}).([]string)
		if err := watch(p, about); err != nil {
			return err
		}
	}
	return Fail(p)
}

type (
	callsKey struct{}
	watchKey struct{}
	aboutKey struct{}
)

// OnAll returns the test's context with a function to call at all points marked by HitIn and FailIn. Without failpoints it skips the
// test.
func OnAll(t test, w Watch) context.Context { return context.WithValue(t.Context(), watchKey{}, w) }

// About returns a context that says to a Watch what points are come by for, such as a step of an instance.
func About(ctx context.Context, words ...string) context.Context {
	return context.WithValue(ctx, aboutKey{}, words)
}

// On returns the test's context with functions to call at points marked by HitIn. Without
// failpoints it skips the test.
func On(t test, calls Calls) context.Context {
	return context.WithValue(t.Context(), callsKey{}, calls)
}

// Fail is Hit at a point that can also fail: then it returns an *Error.
func Fail(p Point) error {
	t := armed[p]
	if t == nil {
		return nil
	}
	hit := t.hits.Add(1)
	if t.at != 0 && t.at != hit || over() {
		return nil
	}
	fmt.Fprintf(os.Stderr, "failpoint %s: %s at hit %d\n", p, t.action, hit)
	switch t.action {
	case kill:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal needs no more than a moment, in which nothing may go on here
	case stop:
		freeze()
	case delay:
		time.Sleep(t.delay)
	case fail:
		return &Error{Point: p}
	}
	return nil
}

// over reports whether the settings hold no longer.
func over() bool {
	_, err := os.Stat(os.Getenv("RECOUNT_FAILPOINTS_UNTIL"))
	return err == nil
}

// freeze stops the process. The signal is for this thread, so that it does not get to run on until
// another one has taken it.
func freeze() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, _, _ = syscall.Syscall(syscall.SYS_TGKILL, uintptr(os.Getpid()), uintptr(syscall.Gettid()), uintptr(syscall.SIGSTOP))
}
