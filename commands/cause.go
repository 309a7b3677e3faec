package commands

import (
	"context"

	"github.com/57528e99/recount/eventstore"
)

// CausedBy returns the options of a command that an event is the reason for: the event is its cause, and it is part of what the
// event is part of.
func CausedBy(e *eventstore.RecordedEvent) Options {
	o := Options{CausationID: e.ID.String()}
	if m, err := ParseMetadata(e.Metadata); err == nil {
		o.CorrelationID, o.TraceParent, o.TraceState = m.CorrelationID, m.TraceParent, m.TraceState
	}
	return o
}

type causeKey struct{}

// WithCause returns a context for commands that are run because of an event, by functions that are not told of it: CausationID,
// CorrelationID, Via and the trace of options that name no cause are those of o. If o names none the context has what it had.
func WithCause(ctx context.Context, o Options) context.Context {
	if o.CausationID == "" {
		return ctx
	}
	return context.WithValue(ctx, causeKey{}, o)
}

// HasCause reports whether a context is one of WithCause.
func HasCause(ctx context.Context) bool { return ctx.Value(causeKey{}) != nil }

// because returns the options with the cause that the context has, if they name none.
func (o Options) because(ctx context.Context) Options {
	if o.CausationID != "" {
		return o
	}
	if cause, ok := ctx.Value(causeKey{}).(Options); ok {
		o.CausationID, o.CorrelationID, o.Via = cause.CausationID, cause.CorrelationID, cause.Via
		o.TraceParent, o.TraceState = cause.TraceParent, cause.TraceState
	}
	return o
}
