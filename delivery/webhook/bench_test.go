//go:build unix

package webhook

import (
	"context"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/57528e99/recount/delivery"
)

// BenchmarkDeliver sends small events with 64 in flight to a receiver in this process. The time on the processor is
// that of both, and tells on a busy machine what the rate does not.
func BenchmarkDeliver(b *testing.B) {
	target := receiver(b, delivery.HTTPTarget{}, 1, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	e := event(7, `{"order_id":"1001","customer_id":"ann","total_minor":9000,"currency":"NOK","lines":[{"sku":"TEA-1","quantity":2,"unit_price_minor":4500}]}`)
	d := &delivery.Delivery{Subscription: "big-orders", Partition: 3, Epoch: 101, Events: []delivery.Event{e}}
	b.ReportAllocs()
	next := make(chan struct{})
	done := make(chan error, 64)
	for range 64 {
		go func() {
			var failed error
			for range next {
				if err := target.Deliver(context.Background(), d); err != nil {
					failed = err
				}
			}
			done <- failed
		}()
	}
	busy := processorTime(b)
	b.ResetTimer()
	for range b.N {
		next <- struct{}{}
	}
	close(next)
	for range 64 {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((processorTime(b)-busy).Microseconds())/float64(b.N), "cpu-µs/op")
}

func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
