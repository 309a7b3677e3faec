package telemetry

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// Own is a metric that a service has of its own.
type Own struct {
	Name, Help string
	// Counter says that it only grows.
	Counter bool
	Labels  []string
	// Collect hands sample all values, each with those of the labels. What has an error is missing; so is what panics, and a value with
	// other labels, and Metrics.Failed is told of them.
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

// errPanic says that Collect has panicked, which the registry was told.
var errPanic = errors.New("panic")

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
	err := func() (err error) {
		defer func() { // the registry calls it in a goroutine of its own
			if v := recover(); v != nil {
				to <- prometheus.NewInvalidMetric(c.metric.desc, fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
				err = errPanic
			}
		}()
		return c.own.Collect(ctx, func(value float64, labels ...string) { all = append(all, sample{value, labels}) })
	}()
	if err != nil {
		return // some of it would be taken for all
	}
	for _, s := range all {
		c.metric.sample(to, s.value, s.labels...)
	}
}
