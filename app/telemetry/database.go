package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// databaseTimeout bounds what a reading of the metrics asks the database: the others are worth more
// than those that wait for it.
const databaseTimeout = 3 * time.Second

// windowsTimeout bounds how long windows are counted.
const windowsTimeout = time.Second

// databaseCollector asks the database, like recount projections show, how the projections are and
// how far the operations on them, and how the subscriptions are.
type databaseCollector struct {
	admin *projections.Admin
	known []projections.Projection
	// subscriptions is nil where there are none.
	subscriptions *delivery.Admin
	counted       windowCount
}

// Describe implements prometheus.Collector.
func (c *databaseCollector) Describe(to chan<- *prometheus.Desc) {
	sendAll(to, databaseUp, projectionKnown, projectionPosition, projectionLag, projectionSeconds, projectionState, projectionGeneration,
		operationState, operationEvents, operationPosition, operationTarget, operationRate, operationLeft,
		operationBuckets, operationBucketsDone, operationBegun, operationFinished,
		subscriptionState, subscriptionLag, subscriptionSeconds, subscriptionParked, subscriptionDead, subscriptionDeadAge, subscriptionUnowned,
		replayRunning, replayLag, replayWaits, replayDead, windowsOpen, windowsClosed, windowsLate, windowsDropped)
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
	var subscribed []delivery.Status
	if err == nil && c.subscriptions != nil {
		subscribed, err = c.subscriptions.List(ctx)
	}
	var replays []delivery.Replay
	if err == nil && c.subscriptions != nil {
		replays, err = c.subscriptions.ReplaysThere(ctx)
	}
	if err != nil {
		databaseUp.sample(to, 0)
		all, last, subscribed, replays = nil, nil, nil, nil
	} else {
		databaseUp.sample(to, 1)
		c.windows(ctx, to)
	}
	for _, p := range c.known {
		collectProjection(to, p, all)
	}
	for _, o := range last {
		collectOperation(to, o)
	}
	for _, s := range subscribed {
		collectSubscription(to, s)
	}
	for _, r := range replays {
		replayRunning.sample(to, oneIf(r.State == operations.Running), r.Subscription)
		replayLag.sample(to, float64(max(r.To-r.Position, 0)), r.Subscription)
		replayWaits.sample(to, oneIf(r.Waits != ""), r.Subscription)
		replayDead.sample(to, float64(r.Dead), r.Subscription)
	}
}

// windowCount is how many windows are open, as they were counted last.
type windowCount struct {
	mu    sync.Mutex
	open  map[string]int64 // by subscription; nil: it took too long
	again time.Time
}

// countShare is how much longer than a count took nobody counts again: rows of millions of windows are not counted at each reading.
const countShare = 50

// windows sends how windows are. It counts rows seldom, and lets what takes too long be missing.
func (c *databaseCollector) windows(ctx context.Context, to chan<- prometheus.Metric) {
	if c.subscriptions == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, windowsTimeout)
	defer cancel()
	all, err := c.subscriptions.WindowCounters(ctx)
	if err != nil {
		return
	}
	n := &c.counted
	n.mu.Lock()
	defer n.mu.Unlock()
	if begun := time.Now(); len(all) > 0 && !begun.Before(n.again) {
		n.open = nil
		if counted, err := c.subscriptions.Windows(ctx); err == nil {
			n.open = make(map[string]int64, len(counted))
			for _, w := range counted {
				n.open[w.Subscription] = w.Open
			}
		}
		now := time.Now()
		n.again = now.Add(countShare * now.Sub(begun))
	}
	for _, w := range all {
		if open, ok := n.open[w.Subscription]; ok {
			windowsOpen.sample(to, float64(open), w.Subscription)
		}
		windowsClosed.sample(to, float64(w.Closings), w.Subscription)
		windowsLate.sample(to, float64(w.Late), w.Subscription)
		windowsDropped.sample(to, float64(w.Dropped), w.Subscription)
	}
}

// collectSubscription sends how a subscription is, whichever processes deliver. What is not known is
// missing, never 0.
func collectSubscription(to chan<- prometheus.Metric, s delivery.Status) {
	oneOf(subscriptionState, to, s.State, delivery.States(), s.Name)
	if s.LagEvents != nil && s.LagSeconds != nil {
		subscriptionLag.sample(to, float64(*s.LagEvents), s.Name)
		subscriptionSeconds.sample(to, *s.LagSeconds, s.Name)
	}
	subscriptionParked.sample(to, float64(s.Parked), s.Name)
	subscriptionDead.sample(to, float64(s.Dead), s.Name)
	age := 0.0
	if s.OldestDeadAt != nil {
		age = max(time.Since(*s.OldestDeadAt).Seconds(), 0)
	}
	subscriptionDeadAge.sample(to, age, s.Name)
	unowned := 0
	for _, p := range s.Partitions {
		if p.Owner == "" {
			unowned++
		}
	}
	subscriptionUnowned.sample(to, float64(unowned), s.Name)
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
