package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// databaseTimeout bounds what a reading of the metrics asks the database: the others are worth more
// than those that wait for it.
const databaseTimeout = 3 * time.Second

// databaseCollector asks the database, like recount projections show, how the projections are and
// how far the operations on them.
type databaseCollector struct {
	admin *projections.Admin
	known []projections.Projection
}

// Describe implements prometheus.Collector.
func (c *databaseCollector) Describe(to chan<- *prometheus.Desc) {
	sendAll(to, databaseUp, projectionKnown, projectionPosition, projectionLag, projectionSeconds, projectionState, projectionGeneration,
		operationState, operationEvents, operationPosition, operationTarget, operationRate, operationLeft,
		operationBuckets, operationBucketsDone, operationBegun, operationFinished)
}

// Collect implements prometheus.Collector.
func (c *databaseCollector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	all, err := c.admin.List(ctx)
	var last []operations.Operation
	if err == nil {
		last, err = c.admin.LastOperations(ctx)
	}
	if err != nil {
		databaseUp.sample(to, 0)
		all, last = nil, nil
	} else {
		databaseUp.sample(to, 1)
	}
	for _, p := range c.known {
		collectProjection(to, p, all)
	}
	for _, o := range last {
		collectOperation(to, o)
	}
}

// collectProjection sends what is known of the generation that programs with the version of p read.
func collectProjection(to chan<- prometheus.Metric, p projections.Projection, all []projections.Status) {
	for _, s := range all {
		if s.Projection != p.Name() || s.Version != p.Version() || !s.Current {
			continue
		}
		projectionKnown.sample(to, 1, s.Projection)
		projectionPosition.sample(to, float64(s.Position), s.Projection)
		projectionLag.sample(to, float64(s.LagEvents), s.Projection)
		projectionSeconds.sample(to, s.LagSeconds, s.Projection)
		projectionGeneration.sample(to, float64(s.Generation), s.Projection)
		oneOf(projectionState, to, s.State, projections.States(), s.Projection)
		return
	}
	projectionKnown.sample(to, 0, p.Name())
}

func collectOperation(to chan<- prometheus.Metric, o operations.Operation) {
	labels := []string{o.Subject, string(o.Kind)}
	oneOf(operationState, to, o.State, operations.States(), labels...)
	operationEvents.sample(to, float64(o.Events), labels...)
	operationPosition.sample(to, float64(o.Position), labels...)
	operationTarget.sample(to, float64(o.Target), labels...)
	operationRate.sample(to, o.EventsPerSecond, labels...)
	operationBuckets.sample(to, float64(o.Buckets), labels...)
	operationBucketsDone.sample(to, float64(o.BucketsDone), labels...)
	operationBegun.sample(to, unix(o.CreatedAt), labels...)
	if o.SecondsLeft != nil {
		operationLeft.sample(to, *o.SecondsLeft, labels...)
	}
	if o.FinishedAt != nil {
		operationFinished.sample(to, unix(*o.FinishedAt), labels...)
	}
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
