package failpoint

import "context"

// Calls are functions to call at points.
type Calls map[Point]func()

// Watch is called at each point that HitIn and FailIn mark, with what the context says that it is about. An error is what fails at a point of
// FailIn; at others it changes nothing.
type Watch func(p Point, about []string) error

// test is what On needs of a *testing.T.
type test interface {
	Helper()
	Context() context.Context
	Skip(args ...any)
}
