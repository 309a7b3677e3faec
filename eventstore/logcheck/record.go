package logcheck

import (
	"errors"
	"fmt"
	"sync"

	"github.com/57528e99/recount/eventstore"
)

// Recorder records what clients do. It is safe for concurrent use. The zero
// Recorder keeps the history in memory.
type Recorder struct {
	mu      sync.Mutex
	file    *Lines // nil: the history is kept
	history History
	ops     int64
	err     error // the first
}

// Create returns a recorder that appends to a file. Each line goes out in one
// write before the call that records it returns, so the end of the process loses
// at most an unfinished line, which Create takes off when it opens the file
// again.
func Create(path string) (*Recorder, error) {
	file, err := OpenLines(path)
	if err != nil {
		return nil, fmt.Errorf("record a history: %w", err)
	}
	// Operations are numbered from the time, so that the numbers of one process
	// do not come again in the next.
	return &Recorder{file: file, ops: Now()}, nil
}

// line is a line of a file; one of its fields is set.
type line struct {
	Begin *Append `json:"begin,omitempty"`
	End   *answer `json:"end,omitempty"`
	Read  *Read   `json:"read,omitempty"`
	Batch *Batch  `json:"batch,omitempty"`
}

// answer is how an append ended.
type answer struct {
	Op          int64   `json:"op"`
	At          int64   `json:"at"`
	Outcome     Outcome `json:"outcome"`
	Version     int64   `json:"version"`
	Position    int64   `json:"position,omitempty"`
	Incarnation int64   `json:"incarnation,omitempty"`
	Duplicate   bool    `json:"duplicate,omitempty"`
	Reused      bool    `json:"reused,omitempty"`
	Strange     string  `json:"strange,omitempty"`
}

// apply writes the answer into its append.
func (n *answer) apply(a *Append) {
	a.End, a.Outcome, a.Version, a.Position = n.At, n.Outcome, n.Version, n.Position
	a.Incarnation, a.Duplicate, a.Reused, a.Strange = n.Incarnation, n.Duplicate, n.Reused, n.Strange
}

// Pending is an append that has begun.
type Pending struct {
	recorder *Recorder
	op       int64
	place    int // in the history that is kept
}

// Begin records that an append is about to be sent. Op and Start are set here,
// the answer is not yet looked at. Every append that begins without an answer is
// Unknown.
func (r *Recorder) Begin(a Append) Pending {
	a.Outcome, a.End, a.Start = Unknown, never, Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops++
	a.Op = r.ops
	if r.file != nil {
		r.write(line{Begin: &a})
	} else {
		r.history.Appends = append(r.history.Appends, a)
	}
	return Pending{r, a.Op, len(r.history.Appends) - 1}
}

// Answer records what an eventstore.Appender returned.
func (p Pending) Answer(done eventstore.Appended, err error) {
	n := answer{Outcome: outcomeOf(err), Version: done.Version, Reused: errors.Is(err, eventstore.ErrIDReused), Strange: strange(err)}
	var conflict *eventstore.ConflictError
	switch {
	case errors.As(err, &conflict):
		n.Version = conflict.Actual
	case err == nil:
		n.Position, n.Incarnation, n.Duplicate = done.Position, done.Token.Incarnation, done.Duplicate
	}
	p.end(n)
}

// End records the answer of a client that speaks another language: see the
// fields of Append. An unknown outcome needs no End.
func (p Pending) End(outcome Outcome, version, position, incarnation int64) {
	p.end(answer{Outcome: outcome, Version: version, Position: position, Incarnation: incarnation})
}

func (p Pending) end(n answer) {
	n.Op, n.At = p.op, Now()
	if n.Outcome == Unknown {
		n.At = never
	}
	r := p.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		r.write(line{End: &n})
		return
	}
	n.apply(&r.history.Appends[p.place])
}

// Read records a read. Op is set here; Start and End are the caller's, by Now.
func (r *Recorder) Read(read Read) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops++
	read.Op = r.ops
	if r.file != nil {
		r.write(line{Read: &read})
		return
	}
	r.history.Reads = append(r.history.Reads, read)
}

// Batch records a delivery. Record it once it was handled: a reader that ends
// before begins its next session where the history says.
func (r *Recorder) Batch(b Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		r.write(line{Batch: &b})
		return
	}
	r.history.Batches = append(r.history.Batches, b)
}

// write needs the lock.
func (r *Recorder) write(l line) {
	err := r.file.Append(l)
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("record a history: %w", err)
	}
}

// History returns a copy of what was recorded in memory so far.
func (r *Recorder) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return History{
		Appends: append([]Append(nil), r.history.Appends...),
		Reads:   append([]Read(nil), r.history.Reads...),
		Batches: append([]Batch(nil), r.history.Batches...),
	}
}

// Close closes the file, and returns the first error of any recording.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	return errors.Join(r.err, r.file.Close())
}
