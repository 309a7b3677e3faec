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
			for _, c := range all {
				sample(c.unchanged(s).Seconds(), c.Saga, c.Status)
			}
			return err
		}},
	{Name: "recount_saga_events", Help: "Events of that of them which has most; at 10,000 it fails.", Labels: []string{"saga", "status"},
		Collect: func(ctx context.Context, s *Service, sample func(float64, ...string)) error {
			all, err := s.sagaCounts.read(ctx, s)
			for _, c := range all {
				sample(float64(c.Events), c.Saga, c.Status)
			}
			return err
		}},
}

// sagaCounts counts instances. As it goes through all that have not ended it does so at most for a hundredth of the time.
type sagaCounts struct {
	mu    sync.Mutex
	all   []SagaCount
	again time.Time
}

// SagaCount says how many instances of a saga have not ended, by version of the definition and status.
type SagaCount struct {
	Saga string
	// Definition is the version that they go by; 0: they have not begun.
	Definition int
	Status     string
	Instances  int64
	// Oldest is when something happened last to the one that has not changed for longest.
	Oldest time.Time
	// Events is how many the one has that has most.
	Events int64
}

const sagaCountsSQL = `
SELECT saga, definition, status, count(*) AS instances, min(changed_at) AS oldest, max(events) AS events
FROM {saga_instances} WHERE status = ANY($1) GROUP BY saga, definition, status ORDER BY saga, status, definition`

// SagaCounts counts the instances that have not ended, by saga, then status, then definition. It goes through all of them.
func (s *Service) SagaCounts(ctx context.Context) ([]SagaCount, error) {
	var open []string
	for _, status := range sagas.Statuses() {
		if !status.IsEnd() {
			open = append(open, string(status))
		}
	}
	return queries.SQL[SagaCount](ctx, s.Reader, eventstore.Token{}, sagaCountsSQL, open)
}

// read returns them, those of all definitions together.
func (c *sagaCounts) read(ctx context.Context, s *Service) ([]SagaCount, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	begun := time.Now()
	if begun.Before(c.again) {
		return c.all, nil
	}
	counts, err := s.SagaCounts(ctx)
	if err != nil {
		return nil, err
	}
	c.all, c.again = nil, time.Now().Add(100*time.Since(begun))
	for _, one := range counts {
		if n := len(c.all) - 1; n < 0 || c.all[n].Saga != one.Saga || c.all[n].Status != one.Status {
			c.all = append(c.all, one)
		} else {
			last := &c.all[n]
			last.Instances, last.Events = last.Instances+one.Instances, max(last.Events, one.Events)
			if one.Oldest.Before(last.Oldest) {
				last.Oldest = one.Oldest
			}
		}
	}
	return c.all, nil
}

// sagaDetail is what /readyz?verbose says of the instances of a saga that have a status.
type sagaDetail struct {
	Saga             string  `json:"saga"`
	Status           string  `json:"status"`
	Instances        int64   `json:"instances"`
	UnchangedSeconds float64 `json:"unchanged_seconds"`
}

func (s *Service) sagaDetails(ctx context.Context) (any, error) {
	all, err := s.sagaCounts.read(ctx, s)
	details := make([]sagaDetail, len(all))
	for i, c := range all {
		details[i] = sagaDetail{c.Saga, c.Status, c.Instances, c.unchanged(s).Seconds()}
	}
	return details, err
}

// unchanged is for how long nothing has happened to the one that has not changed for longest.
func (c SagaCount) unchanged(s *Service) time.Duration { return max(s.Sagas.Now().Sub(c.Oldest), 0) }
