package app

import (
	"iter"
	"time"

	"github.com/57528e99/recount/projections"
)

// Invariant is something that holds for the log of a living system, whatever happens to the processes that write it: sums add up, and what was
// begun comes to an end. Service.Verify looks whether it does.
type Invariant struct {
	// Name is what it is called by, such as "orders": of lower-case letters, digits, '_' and '-', at most 48 bytes. Required.
	Name string
	// Holds says what holds, in a line. Required.
	Holds string
	// New returns what folds the log, of which it has read nothing. Required.
	New func() InvariantFold
}

// InvariantFold is what an Invariant keeps of a log that is read from the beginning. It knows no clock. What has come to its end and adds up is
// of no more use, so it takes no more memory than there is under way.
type InvariantFold interface {
	// Apply takes the next event of the App's streams: a value of one of its types of events, or of another that it ignores.
	Apply(event any, at projections.Recorded)
	// Unsettled yields what does not hold after the events that it was given, in any order.
	Unsettled() iter.Seq[Unsettled]
	// Counts are what there is, in the order in which it is to be shown.
	Counts() []InvariantCount
}

// Unsettled is something that does not hold at a position of the log: because it is under way, or because it is wrong.
type Unsettled struct {
	// Subject is what it is about, such as "order 42".
	Subject string `json:"subject"`
	// What is which figure or state of it is meant, such as "captured".
	What     string `json:"what"`
	Expected string `json:"expected"`
	Found    string `json:"found"`
	// Positions are those of the events that it follows from, ascending.
	Positions []int64 `json:"positions"`
	// Since is since when nothing has happened that could lead on. It is wrong if that is too long ago; zero: it is wrong in any case. A
	// time to come is when something is due.
	Since time.Time `json:"since,omitzero"`
}

// InvariantCount is how much there is of something.
type InvariantCount struct {
	Of string `json:"of"`
	N  int64  `json:"n"`
}

func (a App) invariants() (all []Invariant) {
	for _, m := range a.modules() {
		all = append(all, m.Invariants...)
	}
	return all
}
