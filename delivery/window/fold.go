package window

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// Event is an event as windows see it.
type Event struct {
	// At is its time, Recorded when the log took it: a time in the future of that moves no watermark beyond it.
	At, Recorded int64
	// Position is its place in the log.
	Position int64
	Key      string
	// Operands are those for Config.Values.
	Operands []Operand
}

// Window is a window of a key.
type Window struct {
	Key string
	// Start and End are its bounds; End is not in it. A session grows until it is closed.
	Start, End int64
	Closed     bool
	// Closings is how often it was closed: the revision of the next closing.
	Closings int
	// Events is how many it has counted, Late how many of them after it was closed.
	Events, Late int64
	// Position is the largest of what it has counted.
	Position int64

	values []value
	// isNew: it was made here. Changed: it has to be kept.
	isNew, changed bool
}

// Closing is a window that has closed, as it was then.
type Closing struct {
	Key        string
	Start, End int64
	// Revision counts the closings of the window, from 0.
	Revision     int
	Events, Late int64
	// Position: it has all events of the window in the log up to there, but for those that failed.
	Position int64
	// Values are those of Config.Values, as JSON.
	Values []json.RawMessage
	// Window is where it comes from.
	Window *Window
}

// Missed is an event that came after its window had closed.
type Missed struct {
	// Event is which of those that were added, from 0.
	Event      int
	Start, End int64
}

// NoWatermark is that of a Fold that has had no event.
const NoWatermark int64 = math.MinInt64

// Fold counts events in windows. What it gives is for the caller to take before the next use.
type Fold struct {
	c *Config
	// Watermark only grows.
	Watermark int64
	// Closings and Missed are what came out. Late counts events that came too late for a window, Dropped those of them that were counted in none.
	Closings      []Closing
	Missed        []Missed
	Late, Dropped int64

	added   int
	windows map[string][]*Window
	// gone are windows that were kept, and are none any more.
	gone []*Window
}

// NewFold returns a Fold without windows.
func NewFold(c *Config, watermark int64) *Fold {
	return &Fold{c: c, Watermark: watermark, windows: make(map[string][]*Window)}
}

// Put gives it a window that was kept.
func (f *Fold) Put(w *Window) { f.windows[w.Key] = append(f.windows[w.Key], w) }

// Add counts an event. All windows that it may touch, see Config.Reach, were Put.
func (f *Fold) Add(e *Event) {
	if f.c.Kind == Session {
		f.addToSession(e)
	} else {
		f.c.starts(e.At, func(start int64) { f.addTo(start, e) })
	}
	f.added++
	f.Advance(min(e.At, e.Recorded) - f.c.Delay)
}

// Advance moves the watermark, if that is ahead of it.
func (f *Fold) Advance(watermark int64) { f.Watermark = max(f.Watermark, watermark) }

// CloseDue closes the windows here whose time has come, and forgets those that are of no use any more.
func (f *Fold) CloseDue() {
	for _, all := range f.windows {
		for _, w := range slices.Clone(all) {
			if f.closeIfDue(w); w.Closed && f.c.forgetsAt(w.End) <= f.Watermark {
				f.remove(w)
			}
		}
	}
}

// Changed yields the windows that have to be kept, and those that were kept and must not be any more.
func (f *Fold) Changed() (put, gone []*Window) {
	for _, all := range f.windows {
		for _, w := range all {
			if w.changed {
				put = append(put, w)
			}
		}
	}
	return put, f.gone
}

func (f *Fold) addTo(start int64, e *Event) {
	end := start + f.c.Size
	i := slices.IndexFunc(f.windows[e.Key], func(w *Window) bool { return w.Start == start })
	var w *Window
	if i >= 0 {
		w = f.windows[e.Key][i]
		f.closeIfDue(w)
	}
	if f.c.closesAt(end) <= f.Watermark || w != nil && w.Closed {
		f.late(w, start, end, e)
		return
	}
	if w == nil {
		w = f.make(e.Key, start, end)
	}
	f.count(w, e)
}

func (f *Fold) addToSession(e *Event) {
	end := e.At + f.c.Gap
	var open []*Window
	var closed *Window
	for _, w := range f.windows[e.Key] {
		f.closeIfDue(w)
		switch {
		case e.At >= w.End || end <= w.Start || w.Closed && f.c.forgetsAt(w.End) <= f.Watermark:
		case !w.Closed:
			open = append(open, w)
		case closed == nil || w.Start < closed.Start:
			closed = w
		}
	}
	switch {
	case closed != nil: // first: or an open session could begin where it does, and be taken for it
		f.late(closed, closed.Start, closed.End, e)
	case len(open) > 0:
		f.count(f.join(open, e.At, end), e)
	case f.c.closesAt(end) <= f.Watermark:
		f.late(nil, e.At, end, e)
	default:
		f.count(f.make(e.Key, e.At, end), e)
	}
}

// join makes one session of those that an event touches.
func (f *Fold) join(all []*Window, start, end int64) *Window {
	for _, w := range all {
		start, end = min(start, w.Start), max(end, w.End)
	}
	first := all[0]
	if len(all) == 1 && first.Start == start {
		first.End = end
		return first
	}
	// What is kept is known by where it starts.
	joined := &Window{Key: first.Key, Start: start, End: end, isNew: true, values: make([]value, len(f.c.Values))}
	for _, w := range all {
		f.remove(w)
		joined.Events, joined.Position = joined.Events+w.Events, max(joined.Position, w.Position)
		for i, op := range f.c.Values {
			joined.values[i].merge(op, &w.values[i])
		}
	}
	f.Put(joined)
	return joined
}

func (f *Fold) make(key string, start, end int64) *Window {
	w := &Window{Key: key, Start: start, End: end, isNew: true, values: make([]value, len(f.c.Values))}
	f.Put(w)
	return w
}

func (f *Fold) remove(w *Window) {
	f.windows[w.Key] = slices.DeleteFunc(f.windows[w.Key], func(o *Window) bool { return o == w })
	if !w.isNew {
		f.gone = append(f.gone, w)
	}
}

func (f *Fold) count(w *Window, e *Event) {
	w.Events, w.Position, w.changed = w.Events+1, max(w.Position, e.Position), true
	for i, op := range f.c.Values {
		w.values[i].add(op, &e.Operands[i], e)
	}
}

// late takes an event whose window has closed; w is nil if there is none.
func (f *Fold) late(w *Window, start, end int64, e *Event) {
	f.Late++
	switch {
	case f.c.Late == Side:
		f.Dropped++
		f.Missed = append(f.Missed, Missed{f.added, start, end})
	case f.c.Late == Drop || f.c.forgetsAt(end) <= f.Watermark:
		f.Dropped++
	default:
		if w == nil {
			w = f.make(e.Key, start, end)
		}
		w.Late++
		f.count(w, e)
		f.close(w)
	}
}

func (f *Fold) closeIfDue(w *Window) {
	if !w.Closed && f.c.closesAt(w.End) <= f.Watermark {
		f.close(w)
	}
}

func (f *Fold) close(w *Window) {
	f.Closings = append(f.Closings, Closing{Key: w.Key, Start: w.Start, End: w.End, Revision: w.Closings, Events: w.Events, Late: w.Late, Position: w.Position,
		Values: w.Values(f.c), Window: w})
	w.Closed, w.changed = true, true
	w.Closings++
}

// Values returns what the window has of Config.Values, as JSON.
func (w *Window) Values(c *Config) []json.RawMessage {
	all := make([]json.RawMessage, len(c.Values))
	for i, op := range c.Values {
		all[i] = w.values[i].result(op)
	}
	return all
}

// DueAt returns the watermark at which something is to be done with the window: it is to be closed, or forgotten.
func (w *Window) DueAt(c *Config) int64 {
	if w.Closed {
		return c.forgetsAt(w.End)
	}
	return c.closesAt(w.End)
}

// State returns what the values of the window are made from, for SetState.
func (w *Window) State() []byte {
	text, err := json.Marshal(w.values)
	if err != nil { // numbers, and JSON that was read
		panic(err)
	}
	return text
}

// SetState is the reverse of State, for windows of the same Config.
func (w *Window) SetState(c *Config, state []byte) error {
	if err := json.Unmarshal(state, &w.values); err != nil || len(w.values) != len(c.Values) {
		return fmt.Errorf("the state of a window has %d values, and there are %d: %w", len(w.values), len(c.Values), err)
	}
	return nil
}
