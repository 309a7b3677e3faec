package telemetry

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/57528e99/recount/delivery"
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
	// Subscriptions knows the subscriptions of the App.
	Subscriptions *delivery.Admin
	// Deliverer delivers them; nil: not in this process.
	Deliverer *delivery.Runner
}

// Watch adds the metrics of what can be asked. It may be called once.
func (m *Metrics) Watch(s Sources) {
	m.registry.MustRegister(poolCollector{s.Pool}, storeCollector{s.Store}, &databaseCollector{admin: s.Admin, known: s.Known, subscriptions: s.Subscriptions})
	if s.Runner != nil {
		m.registry.MustRegister(runnerCollector{s.Runner})
	}
	if s.Deliverer != nil {
		m.registry.MustRegister(delivererCollector{s.Deliverer})
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
		projectionRunning.sample(to, oneIf(s.Running), s.Projection)
		projectionEvents.sample(to, float64(s.Events), s.Projection)
		projectionBatches.sample(to, float64(s.Batches), s.Projection)
		projectionErrors.sample(to, float64(s.Interruptions), s.Projection, "interruption")
		projectionErrors.sample(to, float64(s.Stops), s.Projection, "stop")
		projectionErrors.sample(to, float64(s.StandAsides), s.Projection, "stand_aside")
	}
}

type delivererCollector struct{ runner *delivery.Runner }

// Describe implements prometheus.Collector.
func (c delivererCollector) Describe(to chan<- *prometheus.Desc) {
	sendAll(to, subscriptionHere, subscriptionInFlight, subscriptionStuck, subscriptionBreaker, subscriptionThrottled,
		deliveryMember, deliveryMoves, deliveryLastMove)
}

// Collect implements prometheus.Collector.
func (c delivererCollector) Collect(to chan<- prometheus.Metric) {
	all := c.runner.Stats()
	deliveryMember.sample(to, oneIf(all.Member))
	deliveryMoves.sample(to, float64(all.Moves-all.MoveErrors), "written")
	deliveryMoves.sample(to, float64(all.MoveErrors), "failed")
	deliveryLastMove.sample(to, all.LastMove.Seconds())
	for _, s := range all.Subscriptions {
		subscriptionHere.sample(to, float64(s.Partitions), s.Subscription)
		subscriptionInFlight.sample(to, float64(s.InFlight), s.Subscription)
		subscriptionStuck.sample(to, float64(s.Stuck), s.Subscription)
		subscriptionBreaker.sample(to, oneIf(s.BreakerOpen), s.Subscription)
		subscriptionThrottled.sample(to, oneIf(s.Throttled), s.Subscription)
	}
}

func oneIf(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}
