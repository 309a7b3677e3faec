package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// Route is what a subscription has to do with an event.
type Route struct {
	Subscription string `json:"subscription"`
	// Matches says that its filter wants the event. It need not get it: State says what became of it.
	Matches bool `json:"matches"`
	// State, Text, Clause and Why are as in Explanation.
	State  ExplainedState  `json:"state"`
	Text   string          `json:"text"`
	Clause *pattern.Clause `json:"clause,omitempty"`
	Why    NotRead         `json:"why,omitempty"`
}

// Routes are what the subscriptions of the App have to do with an event.
type Routes struct {
	// Position and EventID are those of the event, if it is on the log.
	Position int64      `json:"position,omitempty"`
	EventID  *uuid.UUID `json:"event_id,omitempty"`
	Type     string     `json:"type"`
	Stream   string     `json:"stream"`
	// Matching is how many of all Subscriptions have a filter that wants it.
	Subscriptions int `json:"subscriptions"`
	Matching      int `json:"matching"`
	// Items are a page: those that match first, then the others, each by name.
	Items []Route `json:"items"`
	// Next is RoutesQuery.After of the page behind. Empty: there is none.
	Next string `json:"-"`
}

// RoutesQuery names an event, and the page that is wanted.
type RoutesQuery struct {
	// Position or ID is that of an event of the log, an ID as Admin.Event takes it. Event, if not nil, is one that need not be there: it is
	// told what would become of it if it were appended now.
	Position int64
	ID       uuid.UUID
	Event    *pattern.Event
	// Limit is how many Items are wanted. Default: 100. At most 1,000.
	Limit int
	// After is Next of the page before. Default: the first page.
	After string
}

const (
	// DefaultRoutes is RoutesQuery.Limit if it is 0, MaxRoutes the most that it may be.
	DefaultRoutes = 100
	MaxRoutes     = 1000
)

// route is one of Routes that is not told yet.
type route struct {
	*Status
	id  int64
	def Definition // that judges the event
	sel *selector
	// unknown is why this program does not understand the definition.
	unknown error
	matches bool
}

// place is where a route is among all: a cursor of pages.
func (r *route) place() string {
	if r.matches {
		return "+" + r.Name
	}
	return "-" + r.Name
}

// Routes lists what all subscriptions of the App have to do with an event, but those that are replays. Which match is looked at anew for each page.
//
// The error may match ErrNoEvent, or operations.ErrInvalid for RoutesQuery.After.
func (a *Admin) Routes(ctx context.Context, q RoutesQuery) (Routes, error) {
	routes, err := a.routes(ctx, q)
	if err != nil {
		return Routes{}, fmt.Errorf("explain routes: %w", err)
	}
	return routes, nil
}

func (a *Admin) routes(ctx context.Context, q RoutesQuery) (Routes, error) {
	e, about := recordedOf(q.Event), q.Event
	if about == nil {
		found, err := a.Event(ctx, q.Position, q.ID)
		if err != nil {
			return Routes{}, err
		}
		e, about = found.RecordedEvent, new(PatternEvent(found.RecordedEvent))
	}
	all, err := a.findRoutes(ctx, e, q.Event == nil)
	if err != nil {
		return Routes{}, err
	}
	matching := matchRoutes(all, about)
	found := Routes{Type: e.Type, Stream: e.Stream, Subscriptions: len(all), Matching: matching, Items: []Route{}}
	if q.Event == nil {
		found.Position, found.EventID = e.Position, &e.ID
	}
	if q.After != "" && q.After[0] != '+' && q.After[0] != '-' {
		return Routes{}, operations.InvalidOption("after", "must be the cursor of the page before")
	}
	slices.SortFunc(all, func(a, b *route) int { return cmp.Compare(a.place(), b.place()) }) // '+' is before '-'
	from, is := slices.BinarySearchFunc(all, q.After, func(r *route, after string) int { return cmp.Compare(r.place(), after) })
	if is {
		from++
	}
	all = all[from:]
	if limit := min(cmp.Or(q.Limit, DefaultRoutes), MaxRoutes); len(all) > limit {
		all = all[:limit]
		found.Next = all[limit-1].place()
	}
	for _, r := range all {
		x, err := a.explainRoute(ctx, r, e, about, q.Event == nil)
		if errors.Is(err, ErrNotFound) {
			continue // it was removed meanwhile
		}
		if err != nil {
			return Routes{}, fmt.Errorf("subscription %q: %w", r.Name, err)
		}
		found.Items = append(found.Items, Route{r.Name, r.matches, x.State, x.Text, x.Clause, x.Why})
	}
	return found, nil
}

// recordedOf returns an event that need not be on the log; nil for nil.
func recordedOf(e *pattern.Event) *eventstore.RecordedEvent {
	if e == nil {
		return nil
	}
	return &eventstore.RecordedEvent{
		Event:    eventstore.Event{ID: e.ID, Type: e.Type, SchemaVersion: e.SchemaVersion, Data: e.Data, Metadata: e.Metadata},
		Position: e.Position, Stream: e.Stream, Version: e.Version, RecordedAt: e.RecordedAt,
	}
}

// findRoutes returns all subscriptions, each with the definition that judges the event: for one that is on the log, that which was in force there.
func (a *Admin) findRoutes(ctx context.Context, e *eventstore.RecordedEvent, onLog bool) (all []*route, err error) {
	var found []Status
	var ids []int64
	var judged map[int64]judgement
	err = pgx.BeginTxFunc(ctx, a.records.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if found, ids, err = a.readStatus(ctx, tx, nil); err != nil {
			return err
		}
		var changed []int64
		var partitions []int
		for i := range found {
			s := &found[i]
			r := &route{Status: s, id: ids[i], def: s.Definition, unknown: s.unreadable}
			if r.unknown == nil {
				r.sel, r.unknown = newSelector(&r.def)
			}
			if all = append(all, r); onLog && r.unknown == nil && s.Revision > 1 {
				changed, partitions = append(changed, r.id), append(partitions, core.PartitionOf(r.sel.keyOf(e), s.partitions))
			}
		}
		if len(changed) > 0 {
			judged, err = a.records.judgedBy(ctx, tx, changed, partitions, e.Position)
		}
		return err
	})
	for _, r := range all {
		if by := judged[r.id]; by.revision > 0 && by.revision != r.Revision {
			if r.def, r.unknown = parseStored(by.text); r.unknown == nil {
				r.sel, r.unknown = newSelector(&r.def)
			}
		}
	}
	return all, err
}

// matchRoutes notes which filters want an event of the log, with one matcher for all of them, and returns how many do.
func matchRoutes(all []*route, about *pattern.Event) (matching int) {
	var m pattern.Matcher[*route]
	m.AddAll(func(yield func(*route, *pattern.Pattern) bool) {
		for _, r := range all {
			switch {
			case r.unknown != nil || r.Definition.Source.Changes != nil:
			case r.sel.pattern == nil:
				r.matches = !isSystemType(about.Type)
			case !yield(r, r.sel.pattern):
				return
			}
		}
	})
	for _, r := range m.Match(about, nil) {
		r.matches = true
	}
	for _, r := range all {
		if r.matches {
			matching++
		}
	}
	return matching
}

func (a *Admin) explainRoute(ctx context.Context, r *route, e *eventstore.RecordedEvent, about *pattern.Event, onLog bool) (x Explanation, err error) {
	say := func(state ExplainedState, format string, args ...any) {
		x.State, x.Text = state, fmt.Sprintf(format, args...)
	}
	switch {
	case r.unknown != nil:
		say(NotKnown, "this program does not understand its definition: %v", r.unknown)
		return x, nil
	case r.Definition.Source.Changes != nil:
		say(OtherSource, "it gets events of %s, not of the log", r.Definition.Source)
		return x, nil
	case onLog:
		return a.explain(ctx, r.Name, e.Position, e)
	}
	x.Revision = r.Revision
	if r.sel.explain(about, &x, say); x.State != "" {
		return x, nil
	}
	made, failed, err := a.transformed(ctx, &r.def, e)
	if err != nil {
		return x, err
	}
	enriched, err := a.explainEnriched(ctx, &r.def, e)
	switch {
	case err != nil:
		return x, err
	case enriched.dropped:
		say(Dropped, "%s; it would count as delivered", enriched.text)
	case enriched.fails:
		say(IsDead, "it would be a dead letter%s", enriched.text)
	case failed != nil:
		say(IsDead, "it would be a dead letter: %v", failed)
	case made == 0:
		sayDropped(&x, say)
	default:
		would := "it would get it"
		if enriched.depends {
			would = "whether it would get it depends on what is found for it"
		}
		say(IsMatched, "%s%s", would, enriched.text)
		if why, text := r.heldBy(); why != "" {
			x.Why, x.Text = why, would+", but "+text
		}
	}
	return x, nil
}
