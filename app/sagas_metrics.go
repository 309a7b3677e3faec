package app

import (
	"context"
	"sync"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/queries"
	"github.com/57528e99/recount/sagas"
)

// sagaMetrics say how many instances are under way, and which of them stands still.
var sagaMetrics = []Metric{
	{Name: "recount_saga_instances", Help: "Instances of sagas that have not ended, by status: waiting, running, compensating, stuck.", Labels: []string{"saga", "status"},
		Collect: func(ctx context.Context, s *Service, sample func(float64, ...string)) error {
			all, err := s.sagaCounts.read(ctx, s)
			for _, c := range all {
				sample(float64(c.Instances), c.Saga, c.Status)
			}
			return err
		}},
	{Name: "recount_saga_unchanged_seconds", Help: "For how long nothing has happened to that of them which has not changed for longest.", Labels: []string{"saga", "status"},
		Collect: func(ctx context.Context, s *Service, sample func(float64, ...string)) error {
			all, err := s.sagaCounts.read(ctx, s)
			now := s.Sagas.Now()
			for _, c := range all {
				sample(max(now.Sub(c.Oldest), 0).Seconds(), c.Saga, c.Status)
			}
			return err
		}},
}

// sagaCounts counts instances. As it goes through all that have not ended it does so at most for a hundredth of the time.
type sagaCounts struct {
	mu    sync.Mutex
	all   []sagaCount
	again time.Time
}

type sagaCount struct {
	Saga      string
	Status    string
	Instances int64
	Oldest    time.Time
}

const sagaCountsSQL = `
SELECT saga, status, count(*) AS instances, min(changed_at) AS oldest FROM {saga_instances} WHERE status = ANY($1) GROUP BY saga, status`

func (c *sagaCounts) read(ctx context.Context, s *Service) ([]sagaCount, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	begun := time.Now()
	if begun.Before(c.again) {
		return c.all, nil
	}
	var open []string
	for _, status := range sagas.Statuses() {
		if !status.IsEnd() {
			open = append(open, string(status))
		}
	}
	all, err := queries.SQL[sagaCount](ctx, s.Reader, eventstore.Token{}, sagaCountsSQL, open)
	if err != nil {
		return nil, err
	}
	c.all, c.again = all, time.Now().Add(100*time.Since(begun))
	return all, nil
}
