package queries_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/queries"
)

// traceLog is a log in which events are named by their types.
type traceLog struct {
	*testing.T
	*memstore.Store
	ids map[string]uuid.UUID
}

// happened appends an event, with a cause, which is the type of an event or any text, and a correlation id. Either may be empty.
func (l *traceLog) happened(stream, event, cause, correlation string) {
	l.Helper()
	if id, ok := l.ids[cause]; ok {
		cause = id.String()
	}
	if l.ids[event] == uuid.Nil {
		l.ids[event] = uuid.New()
	}
	metadata := fmt.Sprintf(`{"correlation_id":%q,"causation_id":%q,"actor":"ann"}`, correlation, cause)
	if cause+correlation == "" {
		metadata = "none"
	}
	e := eventstore.Event{ID: l.ids[event], Type: event, Data: []byte(`{}`), Metadata: []byte(metadata)}
	a := eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{e}}
	if _, err := l.Append(l.Context(), a, eventstore.AppendOptions{System: strings.HasPrefix(stream, "$")}); err != nil {
		l.Fatal(err)
	}
}

// draw returns a trace in one line: events by type, with what is below them in brackets; ~ before one says that it came from outside.
func draw(t queries.Traced) string {
	var b strings.Builder
	depth := -1
	for _, e := range t.Events {
		switch {
		case e.Depth > depth && depth >= 0:
			b.WriteString("(")
		case depth >= 0:
			b.WriteString(strings.Repeat(")", depth-e.Depth) + " ")
		}
		if e.Link == queries.LinkStream {
			b.WriteString("~")
		}
		b.WriteString(e.Type)
		depth = e.Depth
	}
	return b.String() + strings.Repeat(")", max(depth, 0))
}

func TestTrace(t *testing.T) {
	t.Parallel()
	l := &traceLog{t, memstore.New(memstore.Config{}), map[string]uuid.UUID{"later": uuid.New(), "itself": uuid.New()}}
	l.happened("stock-1", "received", "", "")
	l.happened("order-1", "placed", "request", "c1")
	l.happened("saga-1", "started", "placed", "c1")
	l.happened("stock-1", "reserved", "started", "c1")
	l.happened("order-2", "other", "request", "c2")
	l.happened("stock-1", "reserved-other", "other", "c2")
	l.happened("saga-1", "confirmed", "started", "c1")
	l.happened("order-1", "cancelled", "request-2", "c3") // by the customer
	l.happened("saga-1", "undone", "cancelled", "c3")
	l.happened("stock-1", "released", "undone", "c3")
	l.happened("mail-1", "sent", "lost", "c1")             // its cause is not there
	l.happened("cycle-1", "itself", "itself", "c4")        // caused by itself
	l.happened("cycle-2", "earlier", "later", "c4")        // and by what comes later
	l.happened("cycle-1", "later", "earlier", "c4")        // and the other way round
	l.happened("$delivery-mails", "$Failed", "sent", "c1") // a stream of the engine
	l.happened("$delivery-mails", "$FailedToo", "", "")
	head, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const order = "placed(started(reserved confirmed) ~cancelled(undone(released))) sent($Failed)"
	for _, c := range []struct {
		q    queries.TraceQuery
		want string
		// through is where it stopped; 0: at the end.
		through int64
	}{
		{q: queries.TraceQuery{ID: l.ids["placed"].String()}, want: order},
		{q: queries.TraceQuery{ID: l.ids["confirmed"].String()}, want: order},
		{q: queries.TraceQuery{ID: "2"}, want: order},
		{q: queries.TraceQuery{ID: "c1"}, want: order},
		{q: queries.TraceQuery{Stream: "order-1"}, want: order},
		{q: queries.TraceQuery{ID: l.ids["cancelled"].String()}, want: "cancelled(undone(released))"},
		{q: queries.TraceQuery{ID: "c4"}, want: "itself earlier(later)"},
		{q: queries.TraceQuery{ID: "2", MaxEvents: 3}, want: "placed(started(reserved))", through: 6},
		{q: queries.TraceQuery{ID: "2", MaxScan: 3}, want: "placed(started(reserved))", through: 5},
		{q: queries.TraceQuery{ID: l.ids["$FailedToo"].String()}, want: "$FailedToo"},
	} {
		got, err := queries.Trace(t.Context(), l, c.q)
		if err != nil || draw(got) != c.want {
			t.Errorf("the trace of %+v is %s, %v, want %s", c.q, draw(got), err, c.want)
		}
		if want := max(c.through, head.Position*min(1, 1-c.through)); got.Through != want || got.Truncated != (c.through > 0) {
			t.Errorf("the trace of %+v went to %d (truncated: %v), want %d", c.q, got.Through, got.Truncated, want)
		}
	}
	for _, q := range []queries.TraceQuery{{ID: "c5"}, {ID: "99"}, {ID: uuid.NewString()}, {ID: uuid.Must(uuid.NewV7()).String()}, {ID: l.ids["placed"].String(), MaxScan: 5}} {
		if _, err := queries.Trace(t.Context(), l, q); !errors.Is(err, queries.ErrNoTrace) {
			t.Errorf("the trace of %+v: %v, want that there is none", q, err)
		}
	}
	if _, err := queries.Trace(t.Context(), l, queries.TraceQuery{Stream: "order-3"}); !errors.Is(err, eventstore.ErrStreamNotFound) {
		t.Errorf("the trace of a stream that there is not: %v", err)
	}
	ofOrders := func(stream string) bool { return strings.HasPrefix(stream, "order-") }
	if got, err := queries.Trace(t.Context(), l, queries.TraceQuery{ID: "2", Shows: ofOrders}); err != nil || draw(got) != "placed(~cancelled)" || got.Truncated {
		t.Errorf("the trace of what may be shown is %s, %v", draw(got), err)
	}
	for _, id := range []string{"3", l.ids["started"].String()} {
		if got, err := queries.Trace(t.Context(), l, queries.TraceQuery{ID: id, Shows: ofOrders}); !errors.Is(err, queries.ErrNoTrace) {
			t.Errorf("the trace of %s, which may not be shown, is %s, %v", id, draw(got), err)
		}
	}
	got, err := queries.Trace(t.Context(), l, queries.TraceQuery{ID: l.ids["undone"].String(), Data: true})
	if err != nil || len(got.Events) != 3 {
		t.Fatalf("the trace is %+v, %v", got, err)
	}
	e := got.Events[1]
	e.RecordedAt, e.AfterMS = time.Time{}, 0
	if want := fmt.Sprintf("%+v", queries.TracedEvent{Depth: 1, Parent: 8, Link: queries.LinkCause, Asked: true, Position: 9, Stream: "saga-1", Version: 2, ID: l.ids["undone"],
		Type: "undone", SchemaVersion: 1, CausationID: l.ids["cancelled"].String(), Actor: "ann", Data: []byte(`{}`)}); fmt.Sprintf("%+v", e) != want {
		t.Errorf("the event is %+v, want %s", e, want)
	}
}

// lateContext has a deadline that is over, and is not done.
type lateContext struct{ context.Context }

func (lateContext) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

// TestTraceWithinBounds: what leads from the event asked for to the first is there, however little else is; and what is not known is said.
func TestTraceWithinBounds(t *testing.T) {
	t.Parallel()
	l := &traceLog{t, memstore.New(memstore.Config{}), make(map[string]uuid.UUID)}
	others := func(n int) {
		for i := range n {
			l.happened("b-1", fmt.Sprint("other ", len(l.ids), " ", i), "", "")
		}
	}
	l.happened("a-1", "first", "request", "")
	l.happened("a-2", "effect", "first", "")
	others(30)
	l.happened("a-1", "second", "first", "c1")
	others(30)
	l.happened("a-3", "third", "second", "c2") // position 64
	others(30)
	for _, c := range []struct {
		name   string
		ctx    context.Context
		q      queries.TraceQuery
		want   string
		isRoot bool
	}{
		{"all", t.Context(), queries.TraceQuery{}, "first(effect second(third))", true},
		{"few events", t.Context(), queries.TraceQuery{MaxEvents: 2}, "first(second(third))", true},
		{"near by", t.Context(), queries.TraceQuery{MaxScan: 63}, "first(effect second(third))", true},
		{"nearer", t.Context(), queries.TraceQuery{MaxScan: 40}, "second(third)", false},
		{"no time", lateContext{t.Context()}, queries.TraceQuery{}, "third", false},
	} {
		c.q.ID = "64"
		got, err := queries.Trace(c.ctx, l, c.q)
		if err != nil || draw(got) != c.want || got.RootUnknown == c.isRoot || got.Truncated != (c.name != "all") {
			t.Errorf("%s: the trace is %s (root unknown: %v, truncated: %v), %v, want %s", c.name, draw(got), got.RootUnknown, got.Truncated, err, c.want)
		}
	}
}

// TestTraceFindsByTime: ids of version 7 lead to where they were made, however much was written before and since.
func TestTraceFindsByTime(t *testing.T) {
	t.Parallel()
	now := time.Now().Add(-24 * time.Hour)
	l := &traceLog{t, memstore.New(memstore.Config{Now: func() time.Time { return now }}), make(map[string]uuid.UUID)}
	at := func() uuid.UUID {
		id := uuid.Must(uuid.NewV7())
		for i, ms := 5, now.UnixMilli(); i >= 0; i, ms = i-1, ms>>8 {
			id[i] = byte(ms)
		}
		return id
	}
	for i := range 3000 {
		if now = now.Add(time.Second); i == 1000 {
			l.ids["cause"] = at()
			l.happened("a-1", "cause", "", "")
		}
		if i == 2500 {
			l.ids["effect"] = at()
			l.happened("a-2", "effect", "cause", at().String())
		}
		l.happened("b-1", fmt.Sprint("other ", i), "", "")
	}
	for _, what := range []string{"cause", "effect"} {
		q := queries.TraceQuery{ID: l.ids[what].String(), MaxScan: 2600}
		if got, err := queries.Trace(t.Context(), l, q); err != nil || draw(got) != "cause(effect)" {
			t.Errorf("the trace of %s is %s, %v", what, draw(got), err)
		}
	}
}
