package app

import (
	"context"
	"slices"
	"strings"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/queries"
	"github.com/57528e99/recount/sagas"
)

// Trace is queries.Trace of the App's own events: those of other Apps on the log, and of the engine, are not shown. TraceQuery.Shows may leave out more.
func (s *Service) Trace(ctx context.Context, q queries.TraceQuery) (queries.Traced, error) {
	categories, names, more := s.App.Categories(), sagas.Names(s.App.Sagas()), q.Shows
	q.Shows = func(stream string) bool {
		category := eventstore.Category(stream)
		if !slices.Contains(categories, category) || more != nil && !more(stream) {
			return false
		}
		saga, _, _ := strings.Cut(eventstore.StreamID(stream), "-")
		return category != sagas.Category || slices.Contains(names, saga) // the category has those of all Apps
	}
	return queries.Trace(ctx, s.Log, q)
}
