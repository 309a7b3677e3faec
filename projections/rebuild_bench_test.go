package projections

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// BenchmarkRebuild measures a rebuild of a fold with a row per stream, and in the same run a loop
// that reads, folds and writes one event after the other, on a part of the log.
func BenchmarkRebuild(b *testing.B) {
	t := newBench(b)
	note := string(slices.Repeat([]byte("n"), 150))
	for i := range b.N {
		t.append(fmt.Sprintf("account-%d", i/3), deposited{Amount: 1, Note: note})
	}
	r := quietRunner(t, newTotals("totals"))
	b.ResetTimer()
	t.rebuild(r, "totals", operations.Options{})
	rebuilt := float64(b.N) / b.Elapsed().Seconds()
	b.StopTimer()
	loop := t.eventByEvent(r, min(b.N, 3000))
	b.ReportMetric(rebuilt, "events/s")
	b.ReportMetric(rebuilt/loop, "x-loop")
}

// eventByEvent applies events in a transaction each, and returns how many there were in a second.
func (b *bench) eventByEvent(r *Runner, n int) float64 {
	runs := r.workers[0].runs
	table := tableName{b.db.Schema, "loop"}
	err := r.catalog.inTx(b.Context(), func(tx pgx.Tx) error { return runs.create(b.Context(), tx, table) })
	if err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	for e, err := range b.store.ReadAll(b.Context(), eventstore.ReadOptions{Limit: int64(n)}) {
		if err != nil {
			b.Fatal(err)
		}
		value, err := b.codec.Decode(e.Event)
		if err != nil {
			b.Fatal(err)
		}
		err = runs.commit(b.Context(), r.config.Pool, generation{table: table}, []Decoded{{Event: &e, Value: value}}, statement{sql: `SELECT 1`})
		if err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(begun).Seconds()
}
