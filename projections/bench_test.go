package projections

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
)

// BenchmarkCatchUp measures how fast one fold with a row per stream works off a log in PostgreSQL,
// of events of 200 bytes, three to a stream.
func BenchmarkCatchUp(b *testing.B) {
	t := newPGBench(b)
	var end eventstore.Token
	for i := 0; i < b.N; i += 1000 {
		var values []any
		for range min(1000, b.N-i) {
			values = append(values, deposited{Amount: 1, Note: strings.Repeat("n", 160)})
		}
		end = t.appendEach(i, values)
	}
	r := quietRunner(t, newTotals("totals"))
	b.ResetTimer()
	t.start(r)
	t.arrives(r, "totals", end)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkKeepUp appends as fast as 64 callers can, one event each, and measures how much longer
// one fold takes than the appends.
func BenchmarkKeepUp(b *testing.B) {
	t := newPGBench(b)
	r := quietRunner(t, newTotals("totals"))
	t.start(r)
	t.arrives(r, "totals", eventstore.Token{})
	b.ResetTimer()
	var n atomic.Int64
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				t.append(fmt.Sprintf("account-%d", i/3), deposited{Amount: 1, Note: strings.Repeat("n", 160)})
			}
		})
	}
	callers.Wait()
	appended := b.Elapsed()
	end, err := t.store.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	t.arrives(r, "totals", end)
	b.ReportMetric(float64(b.N)/appended.Seconds(), "appends/s")
	b.ReportMetric(float64((b.Elapsed()-appended).Microseconds())/1000, "behind-ms")
}

// BenchmarkVisible measures how long after the call of its append an event is in the rows of five
// folds, with 5,000 appends a second.
func BenchmarkVisible(b *testing.B) {
	t := newPGBench(b)
	var folds []Projection
	for i := range 5 {
		folds = append(folds, newTotals(fmt.Sprintf("totals%d", i)))
	}
	r := quietRunner(t, folds...)
	t.start(r)
	for _, f := range folds {
		t.arrives(r, f.Name(), eventstore.Token{})
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	latencies := make([]time.Duration, b.N)
	var waiting sync.WaitGroup
	b.ResetTimer()
	for i := range b.N {
		if i%5 == 0 {
			<-tick.C
		}
		waiting.Go(func() {
			begun := time.Now()
			at := t.append(fmt.Sprintf("account-%d", i/3), deposited{Amount: 1})
			for _, f := range folds {
				r.WaitFor(b.Context(), f.Name(), at)
			}
			latencies[i] = time.Since(begun)
		})
	}
	waiting.Wait()
	slices.Sort(latencies)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(latencies[b.N/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(latencies[b.N*99/100].Microseconds())/1000, "p99-ms")
}

// newPGBench is newBench with the log in PostgreSQL too.
func newPGBench(t testing.TB) *bench {
	t.Helper()
	return newPGBenchOn(t, pgtest.New(t))
}

func newPGBenchOn(t testing.TB, db *pgtest.DB) *bench {
	t.Helper()
	store, err := pgstore.Open(t.Context(), pgstore.Config{Pool: db.Pool, Schema: db.Schema})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return newBenchOn(t, db, store)
}

// appendEach writes one append with an event to each of many streams, three of them to a stream.
func (b *bench) appendEach(first int, values []any) eventstore.Token {
	b.Helper()
	var appends []eventstore.StreamAppend
	for i, v := range values {
		e, err := b.codec.Encode(v)
		if err != nil {
			b.Fatal(err)
		}
		appends = append(appends, eventstore.StreamAppend{Stream: fmt.Sprintf("account-%d", (first+i)/3), Expected: eventstore.Any, Events: []eventstore.Event{e}})
	}
	done, err := b.store.(eventstore.MultiStreamAppender).AppendStreams(b.Context(), appends, eventstore.AppendOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return done[len(done)-1].Token
}

func quietRunner(b *bench, folds ...Projection) *Runner {
	b.Helper()
	c := b.config()
	c.Logger = zerolog.Nop()
	c.LeaseTTL = 0
	r, err := NewRunner(c, folds...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { b.stop(r) })
	return r
}
