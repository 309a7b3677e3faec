package telemetry

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/projections"
)

// Sources are what is asked when the metrics are read.
type Sources struct {
	Pool  *pgxpool.Pool
	Store *pgstore.Store
	Admin *projections.Admin
	// Known are the projections that this program has, whether it runs them or not.
	Known []projections.Projection
	// Runner runs them; nil: not in this process.
	Runner *projections.Runner
}

// Watch adds the metrics of what can be asked. It may be called once.
func (m *Metrics) Watch(s Sources) {
	m.registry.MustRegister(poolCollector{s.Pool}, storeCollector{s.Store}, &databaseCollector{s.Admin, s.Known})
	if s.Runner != nil {
		m.registry.MustRegister(runnerCollector{s.Runner})
	}
}

// sendAll sends the descriptions of metrics.
func sendAll(to chan<- *prometheus.Desc, metrics ...*metric) {
	for _, m := range metrics {
		to <- m.desc
	}
}

type poolCollector struct{ pool *pgxpool.Pool }

// Describe implements prometheus.Collector.
func (c poolCollector) Describe(to chan<- *prometheus.Desc) {
	sendAll(to, poolConnections, poolMax, poolNew, poolAcquires, poolWaits, poolWaitSeconds, poolCanceled)
}

// Collect implements prometheus.Collector.
func (c poolCollector) Collect(to chan<- prometheus.Metric) {
	s := c.pool.Stat()
	poolConnections.sample(to, float64(s.AcquiredConns()), "acquired")
	poolConnections.sample(to, float64(s.IdleConns()), "idle")
	poolConnections.sample(to, float64(s.ConstructingConns()), "constructing")
	poolMax.sample(to, float64(s.MaxConns()))
	poolNew.sample(to, float64(s.NewConnsCount()))
	poolAcquires.sample(to, float64(s.AcquireCount()))
	poolWaits.sample(to, float64(s.EmptyAcquireCount()))
	poolWaitSeconds.sample(to, s.EmptyAcquireWaitTime().Seconds())
	poolCanceled.sample(to, float64(s.CanceledAcquireCount()))
}

type storeCollector struct{ store *pgstore.Store }

// Describe implements prometheus.Collector.
func (c storeCollector) Describe(to chan<- *prometheus.Desc) {
	sendAll(to, logPosition, queuedAppends, queuedBytes, subscriptions, receiptsGone)
}

// Collect implements prometheus.Collector.
func (c storeCollector) Collect(to chan<- prometheus.Metric) {
	s := c.store.Stats()
	logPosition.sample(to, float64(s.Head))
	queuedAppends.sample(to, float64(s.QueuedAppends))
	queuedBytes.sample(to, float64(s.QueuedBytes))
	subscriptions.sample(to, float64(s.Subscriptions))
	receiptsGone.sample(to, float64(s.ReceiptsPurged))
}

type runnerCollector struct{ runner *projections.Runner }

// Describe implements prometheus.Collector.
func (c runnerCollector) Describe(to chan<- *prometheus.Desc) {
	sendAll(to, projectionRunning, projectionEvents, projectionBatches, projectionErrors)
}

// Collect implements prometheus.Collector.
func (c runnerCollector) Collect(to chan<- prometheus.Metric) {
	for _, s := range c.runner.Stats() {
		running := 0.0
		if s.Running {
			running = 1
		}
		projectionRunning.sample(to, running, s.Projection)
		projectionEvents.sample(to, float64(s.Events), s.Projection)
		projectionBatches.sample(to, float64(s.Batches), s.Projection)
		projectionErrors.sample(to, float64(s.Interruptions), s.Projection, "interruption")
		projectionErrors.sample(to, float64(s.Stops), s.Projection, "stop")
		projectionErrors.sample(to, float64(s.StandAsides), s.Projection, "stand_aside")
	}
}
