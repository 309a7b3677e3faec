package delivery

import (
	"fmt"
	"testing"
)

// Moves of many partitions at once, and of many rows.
func BenchmarkMoves(b *testing.B) {
	bench := newBench(b)
	const partitions, rows = 256, 10_000
	id := bench.subscribe("mail", partitions, 0)
	var want []partitionKey
	for i := range partitions {
		want = append(want, partitionKey{id, i})
	}
	all := bench.taken(bench.joined("first"), want...)
	cursors := make([]int64, partitions)
	moves := func(n int) []move {
		moves := make([]move, n)
		for i := range moves {
			moves[i] = move{owned: all[i].owned, From: cursors[i], To: cursors[i] + 10*rows}
			cursors[i] += 10 * rows
		}
		return moves
	}
	for _, n := range []int{1, partitions} {
		b.Run(fmt.Sprint("partitions=", n), func(b *testing.B) {
			for b.Loop() {
				bench.moved(moves(n)...)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "moves/s")
		})
	}
	position := int64(0)
	b.Run(fmt.Sprint("parked=", rows), func(b *testing.B) {
		for b.Loop() {
			one := moves(1)
			for range rows {
				position++
				one[0].Put = append(one[0].Put, parkedRow{Position: position, Key: "order-12345", State: blocked})
			}
			bench.moved(one...)
		}
		b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	// As owners drain: some rows at a time, of a partition that has many.
	const some = 1000
	b.Run(fmt.Sprint("removed=", some), func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			put, remove := moves(1), moves(1)
			for range some {
				position++
				put[0].Put = append(put[0].Put, parkedRow{Position: position, Key: "order-12345", State: blocked})
				remove[0].Remove = append(remove[0].Remove, position)
			}
			bench.moved(put...)
			b.StartTimer()
			bench.moved(remove...)
		}
		b.ReportMetric(some*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}
