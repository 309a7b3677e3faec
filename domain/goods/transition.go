package goods

import (
	"fmt"
	"strings"
)

// TransitionError is returned when something that has statuses cannot become what was asked for.
type TransitionError[Status ~string] struct {
	// Of is what it is, such as "order", and ID which.
	Of, ID string
	Status Status
	// To is what it should have become.
	To Status
	// From are the statuses that allow it, at least one.
	From []Status
	// Refusal is the error of the package that has the statuses, which this one matches.
	Refusal error
}

// Error says, for example, "order 42 cannot be shipped: it is cancelled (it can
// only be shipped when confirmed)".
func (e *TransitionError[Status]) Error() string {
	is := string(e.Status)
	if e.Status == e.To {
		is += " already"
	}
	from := make([]string, len(e.From))
	for i, s := range e.From {
		from[i] = string(s)
	}
	return fmt.Sprintf("%s %s cannot be %s: it is %s (it can only be %s when %s)", e.Of, e.ID, e.To, is, e.To, strings.Join(from, " or "))
}

// Unwrap returns Refusal.
func (e *TransitionError[Status]) Unwrap() error { return e.Refusal }
