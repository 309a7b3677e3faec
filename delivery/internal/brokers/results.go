package brokers

import (
	"context"
	"errors"

	"github.com/57528e99/recount/delivery"
)

// ErrBehind is of an event that was not tried.
var ErrBehind = errors.New("not tried: one of its key before it failed")

// Result returns what a Deliver returns whose events failed for these reasons; nil: it is taken.
func Result(errs []error) error {
	failed := make(map[int]error)
	for i, err := range errs {
		if err != nil {
			failed[i] = err
		}
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(errs) == 1:
		return failed[0]
	}
	return &delivery.PartialError{Failed: failed}
}

// InOrder has events sent, together those that are the first of their keys, and then those behind the ones that were taken. Send sets the
// errors of those with such indices. It returns why events were not taken.
func InOrder(events []delivery.Event, send func(indices []int, errs []error)) []error {
	errs := make([]error, len(events))
	rest := make([]int, len(events))
	for i := range rest {
		rest[i] = i
	}
	failed := make(map[string]bool)
	wave := make([]int, 0, len(events))
	for len(rest) > 0 {
		wave = wave[:0]
		seen, later := make(map[string]bool, len(rest)), rest[:0]
		for _, i := range rest {
			switch key := events[i].Key; {
			case failed[key]:
				errs[i] = ErrBehind
			case seen[key]:
				later = append(later, i)
			default:
				seen[key] = true
				wave = append(wave, i)
			}
		}
		send(wave, errs)
		for _, i := range wave {
			if errs[i] != nil {
				failed[events[i].Key] = true
			}
		}
		rest = later
	}
	return errs
}

// Down returns what says that a broker cannot be asked now, which is no failure of the events: they wait, and none is parked. If ctx
// has ended it is not the broker.
func Down(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return delivery.Throttled(err, 0)
}
