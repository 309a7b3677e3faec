package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/security"
)

// Build says what the program is.
type Build struct{ Version, Revision, Go string }

// Metrics are those of a process. Its methods may be called by many goroutines at once.
type Metrics struct {
	// Failed is told of metrics that are missing as what collects them is wrong, whenever they are read. It may be nil; it is set before Handler.
	Failed func(error)

	registry *prometheus.Registry

	httpRequests   *prometheus.CounterVec
	httpSeconds    *prometheus.HistogramVec
	refused        *prometheus.CounterVec
	commands       *prometheus.CounterVec
	commandSeconds *prometheus.HistogramVec
	commandRetries *prometheus.CounterVec
	appends        *prometheus.CounterVec
	// appended is the counter of the usual outcome, looked up once.
	appended      prometheus.Counter
	appendSeconds prometheus.Observer
	batches       *prometheus.CounterVec
	batchSeconds  *prometheus.HistogramVec
	batchEvents   prometheus.Observer
	lostCommits   *prometheus.CounterVec
	receipts      prometheus.Counter
	attempts      *prometheus.CounterVec
	delivered     *prometheus.CounterVec
	busy          *prometheus.CounterVec
	deliveries    prometheus.Observer
}

// New returns metrics in a registry of their own, with those of the Go runtime and of the process.
func New(b Build) *Metrics {
	m := &Metrics{
		registry:       prometheus.NewPedanticRegistry(),
		httpRequests:   httpRequests.counters(),
		httpSeconds:    httpSeconds.histograms(),
		refused:        refusedTotal.counters(),
		commands:       commandsTotal.counters(),
		commandSeconds: commandSeconds.histograms(),
		commandRetries: commandRetries.counters(),
		appends:        appendsTotal.counters(),
		batches:        batchesTotal.counters(),
		batchSeconds:   batchSeconds.histograms(),
		lostCommits:    lostCommits.counters(),
		attempts:       subscriptionAttempts.counters(),
		delivered:      subscriptionDelivered.counters(),
		busy:           subscriptionBusy.counters(),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: buildInfo.name, Help: buildInfo.help}, buildInfo.labels)
	info.WithLabelValues(b.Version, b.Revision, b.Go).Set(1)
	waits, sizes, kept := appendSeconds.histograms(), batchEvents.histograms(), receipts.counters()
	ages := deliverySeconds.histograms()
	m.deliveries = ages.WithLabelValues()
	m.appended = m.appends.WithLabelValues("appended")
	m.appendSeconds, m.batchEvents, m.receipts = waits.WithLabelValues(), sizes.WithLabelValues(), kept.WithLabelValues()
	for _, outcome := range []string{"landed", "repeated", "unknown"} {
		m.lostCommits.WithLabelValues(outcome) // 0 rather than missing: alerts are on its increase
	}
	for _, reason := range security.Reasons() {
		m.refused.WithLabelValues(reason)
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info,
		m.httpRequests, m.httpSeconds, m.refused, m.commands, m.commandSeconds, m.commandRetries,
		m.appends, waits, m.batches, m.batchSeconds, sizes, m.lostCommits, kept,
		m.attempts, m.delivered, m.busy, ages,
	)
	return m
}

// Request is for httpapi.Config.Observe.
func (m *Metrics) Request(o httpapi.Observation) {
	method := knownMethod(o.Method)
	route := o.Route
	if route == "" {
		route = "none"
	}
	m.httpRequests.WithLabelValues(route, method, statusClass(o.Status)).Inc()
	m.httpSeconds.WithLabelValues(route, method).Observe(o.Duration.Seconds())
}

// Refused is for httpapi.Config.Refused.
func (m *Metrics) Refused(r httpapi.Refusal) { m.refused.WithLabelValues(r.Reason).Inc() }

// knownMethod bounds the values of a label that clients choose.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "other"
}

func statusClass(status int) string {
	if status < 200 || status > 599 {
		return "other"
	}
	return string(rune('0'+status/100)) + "xx"
}

// Command is for commands.Config.Observe.
func (m *Metrics) Command(o commands.Observation) {
	m.commands.WithLabelValues(o.Category, string(o.Outcome)).Inc()
	m.commandSeconds.WithLabelValues(o.Category).Observe(o.Duration.Seconds())
	m.commandRetries.WithLabelValues(o.Category).Add(float64(o.Retries))
}

// Append is for pgstore.Config.ObserveAppend.
func (m *Metrics) Append(o pgstore.AppendObservation) {
	m.appendSeconds.Observe(o.Duration.Seconds())
	if o.Err == nil {
		m.appended.Inc()
		return
	}
	m.appends.WithLabelValues(eventstore.ClassOf(o.Err).String()).Inc()
}

// Batch is for pgstore.Config.ObserveBatch.
func (m *Metrics) Batch(o pgstore.BatchObservation) {
	way := "long"
	if o.Fast {
		way = "fast"
	}
	result := "written"
	if o.Err != nil {
		result = "failed"
	}
	m.batches.WithLabelValues(way, result).Inc()
	m.batchSeconds.WithLabelValues(way).Observe(o.Duration.Seconds())
	m.batchEvents.Observe(float64(o.Events))
	m.receipts.Add(float64(o.Receipts))
	switch {
	case !o.Unknown:
	case o.Landed:
		m.lostCommits.WithLabelValues("landed").Inc()
	case o.Err == nil:
		m.lostCommits.WithLabelValues("repeated").Inc()
	default:
		m.lostCommits.WithLabelValues("unknown").Inc()
	}
}

// Delivery is for delivery.Config.Observe.
func (m *Metrics) Delivery(o delivery.Observation) {
	outcome, _ := delivery.OutcomeOf(o.Err)
	word := outcome.String()
	if o.Err != nil && o.Delivered > 0 {
		word = "partial"
	}
	m.attempts.WithLabelValues(o.Subscription, word).Inc()
	m.delivered.WithLabelValues(o.Subscription).Add(float64(o.Delivered))
	m.busy.WithLabelValues(o.Subscription).Add(o.Duration.Seconds())
	if o.Delivered > 0 && o.Replay == "" { // what comes again is as old as one likes
		m.deliveries.Observe(o.Lag.Seconds())
	}
}
