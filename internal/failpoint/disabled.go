//go:build !failpoints || !linux

package failpoint

// Enabled reports whether this program has failpoints.
const Enabled = false

// Hit marks a point. Here it does nothing.
func Hit(Point) {}

// Fail is Hit at a point that can also fail. Here it returns nil.
func Fail(Point) error { return nil }
