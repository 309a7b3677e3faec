package failpoint

import "context"

// Calls are functions to call at points.
type Calls map[Point]func()

// test is what On needs of a *testing.T.
type test interface {
	Helper()
	Context() context.Context
	Skip(args ...any)
}
