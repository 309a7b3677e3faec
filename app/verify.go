package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// VerifyOptions say what is found to be wrong. The zero value works.
type VerifyOptions struct {
	// Within is how long something may be under way without anything happening to it. Default: 15 minutes.
	Within time.Duration
	// Limit is how much that is wrong is reported of each invariant, the oldest first. Default: 100.
	Limit int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Verification is what Service.Verify found.
type Verification struct {
	// Position is up to where the log was read, Events how many events of the App there are, At when that was.
	Position int64     `json:"position"`
	Events   int64     `json:"events"`
	At       time.Time `json:"at"`
	// Invariants are those of the modules in their order, and that of subscriptions.
	Invariants []Verified `json:"invariants"`
}

// OK reports whether nothing is wrong.
func (v Verification) OK() bool {
	return !slices.ContainsFunc(v.Invariants, func(i Verified) bool { return i.Wrong > 0 })
}

// Verified is what was found of an invariant.
type Verified struct {
	Name   string           `json:"name"`
	Holds  string           `json:"holds"`
	Counts []InvariantCount `json:"counts"`
	// UnderWay is how many subjects do not hold yet and have time left, Longest the one to which nothing has happened for longest.
	UnderWay int64      `json:"under_way"`
	Longest  *Unsettled `json:"longest,omitempty"`
	// Wrong is how much is wrong, Findings what.
	Wrong    int64       `json:"wrong"`
	Findings []Unsettled `json:"findings"`
}

// Verify folds the log as far as it reaches now, and says what does not hold of the invariants of the App's modules. Of subscriptions that the App
// declares it says which have stopped, are behind, have dead letters, or were deleted, if there is a database. It changes nothing.
//
// Events that the App does not know are an error, unless Options.IgnoreTypes has them.
func (s *Service) Verify(ctx context.Context, o VerifyOptions) (v Verification, err error) {
	o.Within, o.Limit = cmp.Or(o.Within, 15*time.Minute), cmp.Or(o.Limit, 100)
	if o.Now == nil {
		o.Now = time.Now
	}
	head, err := s.Log.Head(ctx)
	if err != nil {
		return v, err
	}
	v.Position, v.At = head.Position, eventstore.Microseconds(o.Now()) // in this order: no event that is read is of later
	all := s.App.invariants()
	folds := make([]InvariantFold, len(all))
	for i := range all {
		folds[i] = all[i].New()
	}
	for e, err := range s.Log.ReadAll(ctx, eventstore.ReadOptions{Filter: eventstore.Filter{Categories: s.App.Categories()}}) {
		if err != nil {
			return v, err
		}
		if e.Position > head.Position {
			break
		}
		if slices.Contains(s.options.IgnoreTypes, e.Type) {
			continue
		}
		value, err := s.Commands.Codec().Decode(e.Event)
		if err != nil {
			return v, fmt.Errorf("event at position %d: %w", e.Position, err)
		}
		v.Events++
		for _, f := range folds {
			f.Apply(value, &e)
		}
	}
	for i, f := range folds {
		found := Verified{Name: all[i].Name, Holds: all[i].Holds, Counts: f.Counts()}
		found.judge(slices.Collect(f.Unsettled()), v.At, o)
		v.Invariants = append(v.Invariants, found)
	}
	if s.Subscriptions == nil {
		return v, nil
	}
	handedOver, err := s.verifySubscriptions(ctx, v.At, o)
	v.Invariants = append(v.Invariants, handedOver)
	return v, err
}

// judge parts what is under way from what is wrong.
func (v *Verified) judge(all []Unsettled, now time.Time, o VerifyOptions) {
	slices.SortStableFunc(all, func(a, b Unsettled) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Subject, b.Subject)) })
	v.Findings = []Unsettled{}
	underWay := make(map[string]bool)
	for _, open := range all {
		switch age := now.Sub(open.Since); {
		case open.Since.IsZero() || age > o.Within:
			if v.Wrong++; len(v.Findings) < o.Limit {
				v.Findings = append(v.Findings, open)
			}
		case age >= 0:
			if underWay[open.Subject] = true; v.Longest == nil {
				v.Longest = &open
			}
		}
	}
	v.UnderWay = int64(len(underWay))
}
