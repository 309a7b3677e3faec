package app

import (
	"context"

	"github.com/57528e99/recount/app/telemetry"
)

// Metric is a metric of a module's own, among those that operators are served.
type Metric struct {
	// Name is all of it, such as shop_orders_total. Help says in a line what it counts, and in which unit. Required.
	Name, Help string
	// Counter says that it only grows; then its name ends in _total. Default: it is a gauge.
	Counter bool
	Labels  []string
	// Collect is called whenever metrics are read, by several goroutines at once. Sample takes a value, with those of the labels. What has
	// an error is missing, rather than 0; so is what panics, and a value with too many labels or too few, which is logged. Required.
	//
	// What events say is read from a read model: then it is right after a restart, and each process says the same.
	Collect func(ctx context.Context, s *Service, sample func(value float64, labels ...string)) error
}

// addMetrics adds those of the modules that are here.
func (s *Service) addMetrics() error {
	for _, m := range s.here.modules() {
		for _, own := range m.Metrics {
			err := s.Metrics.Add(telemetry.Own{Name: own.Name, Help: own.Help, Counter: own.Counter, Labels: own.Labels,
				Collect: func(ctx context.Context, sample func(float64, ...string)) error { return own.Collect(ctx, s, sample) }})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
