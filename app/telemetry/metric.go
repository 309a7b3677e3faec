package telemetry

import "github.com/prometheus/client_golang/prometheus"

// metric is the description of one metric.
type metric struct {
	name, help string
	kind       kind
	labels     []string
	// buckets are the upper bounds of a histogram.
	buckets []float64
	desc    *prometheus.Desc
}

type kind string

const (
	isCounter   kind = "counter"
	isGauge     kind = "gauge"
	isHistogram kind = "histogram"
)

func describe(k kind, name, help string, labels ...string) *metric {
	name = "recount_" + name
	return &metric{name: name, help: help, kind: k, labels: labels, desc: prometheus.NewDesc(name, help, labels, nil)}
}

func counter(name, help string, labels ...string) *metric {
	return describe(isCounter, name, help, labels...)
}

func gauge(name, help string, labels ...string) *metric {
	return describe(isGauge, name, help, labels...)
}

func histogram(name, help string, buckets []float64, labels ...string) *metric {
	m := describe(isHistogram, name, help, labels...)
	m.buckets = buckets
	return m
}

// counters returns the metric as one that this package counts itself.
func (m *metric) counters() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.name, Help: m.help}, m.labels)
}

// histograms returns the metric as one that this package observes itself.
func (m *metric) histograms() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.name, Help: m.help, Buckets: m.buckets}, m.labels)
}

// sample sends a value that was asked for just now. One whose labels are wrong is missing, and Metrics.Failed is told.
func (m *metric) sample(to chan<- prometheus.Metric, value float64, labels ...string) {
	k := prometheus.GaugeValue
	if m.kind == isCounter {
		k = prometheus.CounterValue
	}
	one, err := prometheus.NewConstMetric(m.desc, k, value, labels...)
	if err != nil {
		one = prometheus.NewInvalidMetric(m.desc, err)
	}
	to <- one
}

// oneOf sends 1 for the value of the last label that holds, and 0 for the others.
func oneOf[T ~string](m *metric, to chan<- prometheus.Metric, holds T, all []T, labels ...string) {
	for _, v := range all {
		m.sample(to, oneIf(v == holds), append(labels[:len(labels):len(labels)], string(v))...)
	}
}
