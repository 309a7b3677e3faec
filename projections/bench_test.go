package projections

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
)

// BenchmarkCatchUp measures how fast one fold with a row per stream works off a log, in events of
// 200 bytes, three to a stream.
func BenchmarkCatchUp(b *testing.B) {
	t := newBench(b)
	note := string(slices.Repeat([]byte("n"), 150))
	for i := range b.N {
		t.append(fmt.Sprintf("account-%d", i/3), deposited{Amount: 1, Note: note})
	}
	head, err := t.store.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	r := quietRunner(t, newTotals("totals"))
	b.ResetTimer()
	t.start(r)
	t.arrives(r, "totals", head)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkLive measures how long after its append an event is visible, with five folds that follow
// 5,000 events a second.
func BenchmarkLive(b *testing.B) {
	t := newBench(b)
	var folds []Projection
	for i := range 5 {
		folds = append(folds, newTotals(fmt.Sprintf("totals%d", i)))
	}
	r := quietRunner(t, folds...)
	t.start(r)
	for _, f := range folds {
		t.arrives(r, f.Name(), eventstore.Token{})
	}
	const batch = 25
	tick := time.NewTicker(time.Second / 5000 * batch)
	defer tick.Stop()
	latencies := make(chan time.Duration, b.N/batch+1)
	waiting := 0
	b.ResetTimer()
	for i := 0; i < b.N; i += batch {
		<-tick.C
		begun := time.Now()
		var at eventstore.Token
		for j := range batch {
			at = t.append(fmt.Sprintf("account-%d", (i+j)/3), deposited{Amount: 1})
		}
		waiting++
		go func() {
			for _, f := range folds {
				r.WaitFor(b.Context(), f.Name(), at)
			}
			latencies <- time.Since(begun)
		}()
	}
	var all []time.Duration
	for range waiting {
		all = append(all, <-latencies)
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}

type totals struct {
	Balance int64
	Note    string
	At      time.Time
}

func newTotals(name string) *Fold[string, totals] {
	f := NewFold[string, totals](Table{Name: name, Version: 1})
	Upsert(f, ByID, func(a *totals, e deposited, r Recorded) error {
		a.Balance += e.Amount
		a.Note, a.At = e.Note, r.RecordedAt
		return nil
	})
	return f
}

func quietRunner(b *bench, folds ...Projection) *Runner {
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
