package delivery

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
)

// fill appends n events of 1,000 streams.
func (b *bench) fill(n int) {
	b.Helper()
	const each = 1000
	for i := 0; i < n; i += each {
		a := eventstore.StreamAppend{Stream: fmt.Sprintf("order-%d", i/each%1000), Expected: eventstore.Any}
		for range each {
			a.Events = append(a.Events, eventstore.Event{Type: "OrderPlaced", Data: []byte(`{"Total":100,"Customer":"c-17"}`)})
		}
		if _, err := b.store.Append(b.Context(), a, eventstore.AppendOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCatchUp delivers a log from its beginning.
func BenchmarkCatchUp(b *testing.B) {
	const events = 200_000
	t := newBench(b)
	t.fill(events)
	round := 0
	for _, c := range []struct {
		name    string
		handler func(name string, done func(n int)) *Handler
	}{
		{"quick", func(name string, done func(int)) *Handler {
			return HandleRaw(name, func(_ context.Context, d *Delivery) error { done(len(d.Events)); return nil }, Quick())
		}},
		{"goroutines", func(name string, done func(int)) *Handler {
			return HandleRaw(name, func(_ context.Context, d *Delivery) error { done(len(d.Events)); return nil })
		}},
		{"decoded", func(name string, done func(int)) *Handler {
			return Handle(name, func(context.Context, placed, Event) error { done(1); return nil }, Quick())
		}},
		{"tx", func(name string, done func(int)) *Handler {
			return HandleTxRaw(name, func(_ context.Context, _ Tx, d *Delivery) error { done(len(d.Events)); return nil })
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took time.Duration
			for b.Loop() {
				round++
				var n atomic.Int64
				var begun time.Time
				end := make(chan struct{})
				h := c.handler(fmt.Sprintf("h%d", round), func(d int) {
					switch done := n.Add(int64(d)); {
					case done == int64(d):
						begun = time.Now()
					case done == events:
						took += time.Since(begun)
						close(end)
					}
				})
				p := t.newProcess("bench", func(c *Config) {
					c.Subscriptions = []Subscription{from(AtBeginning, h, func(d *Definition) {
						d.Batch.MaxEvents = 1
						if h.transactional {
							d.Batch.MaxEvents = 1000
						}
					})}
					c.Logger = zerolog.Nop()
				})
				if err := p.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
				<-end
				if err := p.Stop(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(events*float64(b.N)/took.Seconds(), "events/s")
		})
	}
}

// BenchmarkLatency measures from the return of an append to the call of the handler.
func BenchmarkLatency(b *testing.B) {
	t := newBench(b)
	got := make(chan time.Time, 1)
	p := t.newProcess("bench", func(c *Config) {
		c.Store, c.Logger = t.store, zerolog.Nop()
		c.Subscriptions = []Subscription{from(AtBeginning, Handle("h", func(context.Context, placed, Event) error {
			got <- time.Now()
			return nil
		}, Quick()), nil)}
	})
	if err := p.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	t.events("order-1", placed{})
	<-got
	var all []time.Duration
	for b.Loop() {
		t.events("order-1", placed{})
		appended := time.Now()
		all = append(all, (<-got).Sub(appended))
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	if err := p.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
}
