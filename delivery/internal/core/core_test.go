package core

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func config(random func() float64) Config {
	return Config{MaxInFlight: 16, MaxParked: 10_000, Window: 10_000, MaxEvents: 1, MaxBytes: 1 << 20,
		Retry:  Retry{MaxAttempts: 8, MaxAge: 24 * time.Hour, First: time.Second, Cap: 5 * time.Minute, Factor: 2},
		Bisect: true, Random: random}
}

// BenchmarkCatchUp is all that the core does with an event that is delivered at once.
func BenchmarkCatchUp(b *testing.B) {
	for _, c := range []struct{ keys, batch int }{{1, 1}, {100, 1}, {100_000, 1}, {100_000, 100}} {
		b.Run(fmt.Sprintf("keys=%d/batch=%d", c.keys, c.batch), func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2)).Float64
			conf := config(random)
			conf.MaxEvents = c.batch
			p := NewPartition(conf, NewBreaker(20, random), 0, nil)
			names := make([]string, c.keys)
			for i := range names {
				names[i] = fmt.Sprintf("order-%d", i)
			}
			page := make([]Item, 1000)
			position := int64(0)
			done := []Result{{}}
			flights := make([]*Attempt, 0, 16)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += len(page) {
				for i := range page {
					position++
					page[i] = Item{Position: position, Key: names[int(position*7919)%c.keys], Size: 100}
				}
				p.Offer(page, position)
				for {
					for a, ok := p.Next(begin); ok; a, ok = p.Next(begin) {
						flights = append(flights, a)
					}
					if len(flights) == 0 {
						break
					}
					for _, a := range flights {
						p.Ended(begin, a, done)
					}
					flights = flights[:0]
				}
				m, ok := p.Move()
				if !ok || m.To != position {
					b.Fatalf("Move = %+v, %v, want to %d", m, ok, position)
				}
				p.Moved(m, true)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
