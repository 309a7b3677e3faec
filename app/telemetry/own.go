package telemetry

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Own is a metric that a service has of its own.
type Own struct {
	Name, Help string
	// Counter says that it only grows.
	Counter bool
	Labels  []string
	// Collect hands sample all values, each with those of the labels. What has an error is missing.
	Collect func(ctx context.Context, sample func(value float64, labels ...string)) error
}

// Add adds a metric. The error says what is wrong with its name or its labels, or that there is one of that name.
func (m *Metrics) Add(own Own) error {
	if own.Name == "" || own.Help == "" || own.Collect == nil {
		return fmt.Errorf("metric %q: it needs a name, a help and a function that collects it", own.Name)
	}
	c := ownCollector{&metric{kind: isGauge, desc: prometheus.NewDesc(own.Name, own.Help, own.Labels, nil)}, own}
	if own.Counter {
		c.metric.kind = isCounter
	}
	if err := m.registry.Register(c); err != nil {
		return fmt.Errorf("metric %q: %w", own.Name, err)
	}
	return nil
}

type ownCollector struct {
	metric *metric
	own    Own
}

// Describe implements prometheus.Collector.
func (c ownCollector) Describe(to chan<- *prometheus.Desc) { sendAll(to, c.metric) }

// Collect implements prometheus.Collector.
func (c ownCollector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	type sample struct {
		value  float64
		labels []string
	}
	var all []sample
	err := c.own.Collect(ctx, func(value float64, labels ...string) { all = append(all, sample{value, labels}) })
	if err != nil {
		return // some of it would be taken for all
	}
	for _, s := range all {
		c.metric.sample(to, s.value, s.labels...)
	}
}
