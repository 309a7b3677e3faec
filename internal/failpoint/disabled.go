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

// Fail is Hit at a point that can also fail. Here it returns nil.
func Fail(Point) error { return nil }
