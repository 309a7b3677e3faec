package window

// Kind is how windows lie in time.
type Kind string

// The kinds.
const (
	// Tumbling windows follow each other: [n·Size, (n+1)·Size).
	Tumbling Kind = "tumbling"
	// Sliding windows begin every Every, and overlap where that is less than their size.
	Sliding Kind = "sliding"
	// Session windows are events of a key that follow each other in less than Gap.
	Session Kind = "session"
)

// Late is what becomes of an event whose window has closed.
type Late string

// The choices.
const (
	// Update counts it, and closes the window again: another revision.
	Update Late = "update"
	// Side tells of it as Missed.
	Side Late = "side"
	// Drop only counts that it came.
	Drop Late = "drop"
)

// MaxOverlap is in how many windows an event may be.
const MaxOverlap = 100

// Config says which windows there are, and what of them is told. Durations are in microseconds.
type Config struct {
	Kind Kind
	// Size is how long tumbling and sliding windows are, Every after how long the next sliding one begins, Gap how long a session has no
	// event when it ends.
	Size, Every, Gap int64
	// Delay is how much the watermark is behind the largest time, Grace how long after its end a window stays open besides.
	Delay, Grace int64
	// Keep is for how long a closed window can be updated.
	Keep int64
	Late Late
	// Values are what is told of a window beside how many events it has.
	Values []Op
}

// Reach returns from where on windows end, and before where they begin, that events of two times and those between may touch. What ends
// at from, or begins at to, is not touched. No window that is touched begins at or before least.
func (c *Config) Reach(first, last int64) (from, to, least int64) {
	if c.Kind == Session {
		return first, last + c.Gap, -1 << 63
	}
	return first, last + 1, first - c.Size
}

// starts yields the beginnings of the windows that have a time, the earliest first.
func (c *Config) starts(at int64, yield func(int64)) {
	every := c.Every
	if c.Kind == Tumbling {
		every = c.Size
	}
	last := at - mod(at, every)
	for start := last - (c.Size-1)/every*every; start <= last; start += every {
		if at < start+c.Size {
			yield(start)
		}
	}
}

// mod is the remainder that is not negative.
func mod(a, b int64) int64 { return (a%b + b) % b }

// closesAt is the watermark at which a window closes that ends at a time.
func (c *Config) closesAt(end int64) int64 { return end + c.Grace }

// forgetsAt is the watermark at which a closed window that ended at a time is of no use any more. A session is known for a while: events of its key
// may be near enough to be of it though they are not late by themselves.
func (c *Config) forgetsAt(end int64) int64 {
	kept := int64(0)
	if c.Late == Update {
		kept = c.Keep
	}
	if c.Kind == Session {
		kept = max(kept, c.Gap)
	}
	return c.closesAt(end) + kept
}
