package telemetry

import (
	"context"
	"errors"

	"github.com/57528e99/recount/eventstore"
)

// outcomes are what errors of an append are called; the first that matches counts.
var outcomes = []struct {
	err  error
	name string
}{
	{eventstore.ErrConflict, "conflict"},
	{eventstore.ErrReceiptKnown, "receipt"},
	{eventstore.ErrReceiptMismatch, "receipt"},
	{eventstore.ErrIDReused, "invalid"},
	{eventstore.ErrInvalid, "invalid"},
	{eventstore.ErrStreamDeleted, "deleted"},
	{eventstore.ErrOutcomeUnknown, "unknown"},
	{eventstore.ErrOverloaded, "overloaded"},
	{eventstore.ErrLogMoved, "moved"},
	{eventstore.ErrUnavailable, "unavailable"},
	{eventstore.ErrClosed, "closed"},
	{context.Canceled, "left"},
	{context.DeadlineExceeded, "left"},
}

func outcomeOf(err error) string {
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.name
		}
	}
	return "failed"
}
