//go:build !failpoints || !linux

package failpoint

import "context"

// Enabled reports whether this program has failpoints.
const Enabled = false

// Hit marks a point. Here it does nothing.
func Hit(Point) {}

// HitIn is Hit in a context that may be one of On. Here it does nothing.
func HitIn(context.Context, Point) {}

// On returns the test's context with functions to call at points marked by HitIn. Here it skips the
// test.
func On(t test, _ Calls) context.Context {
	t.Helper()
	t.Skip("it needs failpoints: go test -tags failpoints, on Linux")
	return t.Context()
}

// OnAll returns the test's context with a function to call at all points marked by HitIn and FailIn. Here it
// skips the test.
func OnAll(t test, _ Watch) context.Context {
	t.Helper()
	t.Skip("it needs failpoints: go test -tags failpoints, on Linux")
	return t.Context()
}

// About returns a context that says to a Watch what points are come by for. Here it is the same.
func About(ctx context.Context, _ ...string) context.Context { return ctx }

// FailIn is HitIn at a point that can also fail. Here it returns nil.
func FailIn(context.Context, Point) error { return nil }

// Fail is Hit at a point that can also fail. Here it returns nil.
func Fail(Point) error { return nil }
