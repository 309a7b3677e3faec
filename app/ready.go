package app

import (
	"context"

	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/operations"
)

// projectionDetail and subscriptionDetail are what /readyz?verbose says of one: no more than anybody may see, as
// there may be no Actor. What is in events, errors and definitions is for the routes of operators.
type projectionDetail struct {
	Projection string            `json:"projection"`
	Generation int               `json:"generation"`
	Version    int               `json:"version"`
	State      operations.State  `json:"state"`
	Position   int64             `json:"position"`
	LagEvents  int64             `json:"lag_events"`
	LagSeconds float64           `json:"lag_seconds"`
	Reason     operations.Reason `json:"reason,omitzero"`
}

type subscriptionDetail struct {
	Name       string            `json:"name"`
	State      operations.State  `json:"state"`
	LagEvents  *int64            `json:"lag_events"`
	LagSeconds *float64          `json:"lag_seconds"`
	Parked     int64             `json:"parked"`
	Dead       int64             `json:"dead"`
	Reason     operations.Reason `json:"reason,omitzero"`
}

func (s *Service) projectionDetails(ctx context.Context) (any, error) {
	all, err := s.Admin.List(ctx)
	details := make([]projectionDetail, len(all))
	for i, p := range all {
		details[i] = projectionDetail{p.Projection, p.Generation, p.Version, p.State, p.Position, p.LagEvents, p.LagSeconds, reasonOf(p.Failure)}
	}
	return details, err
}

func (s *Service) subscriptionDetails(ctx context.Context) (any, error) {
	all, err := s.Subscriptions.List(ctx)
	details := make([]subscriptionDetail, len(all))
	for i := range all {
		d := &all[i]
		details[i] = subscriptionDetail{d.Name, d.State, d.LagEvents, d.LagSeconds, d.Parked, d.Dead, reasonOf(d.Failure)}
	}
	return details, err
}

func reasonOf(f *operations.Failure) operations.Reason {
	if f == nil {
		return ""
	}
	return f.Reason
}

// Check is something that must hold for a Service to work.
type Check struct {
	// Name says what it is about.
	Name string
	// Run returns an error if it does not hold.
	Run func(context.Context) error
}

// Checks are what /readyz looks at, of a Service with a database.
func (s *Service) Checks() []Check {
	return []Check{
		{"database", func(ctx context.Context) error {
			_, err := s.Log.Head(ctx)
			return err
		}},
		{"log", func(ctx context.Context) error { return s.Postgres.CheckAdopted(ctx) }},
		{"appends", func(ctx context.Context) error { return s.Postgres.CheckWritable(ctx) }},
		{"migrations", func(ctx context.Context) error {
			// On the pool: requests must not open connections as they like.
			return s.App.checkMigrated(s.Schema, func(set migrations.Set) (migrations.State, error) {
				return set.StatusOf(ctx, s.Pool, s.Schema)
			})
		}},
	}
}
