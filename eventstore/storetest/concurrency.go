package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/57528e99/recount/eventstore"
)

var concurrencyClauses = []clause{
	{"lets exactly one of many writers have a version", always, oneWinnerPerVersion},
	{"stores one of many appends that carry the same ids", always, storesIDsOnce},
	{"keeps every append of many writers, in the order of each", always, keepsEveryAppend},
	{"moves between streams without deadlock or loss", multiStream, movesBetweenStreams},
}

// This is what optimistic locking is: of all who decided from a version, one.
func oneWinnerPerVersion(f *fixture) {
	const contenders = 8
	for version := range int64(12) {
		var won atomic.Int64
		winner := ""
		f.concurrently(contenders, func(i int) error {
			label := fmt.Sprint(version, " by ", i)
			done, err := f.tryAppend("order-1", eventstore.Exact(version-1), event(label))
			var conflict *eventstore.ConflictError
			switch {
			case errors.As(err, &conflict) && conflict.Actual == version:
				return nil
			case err != nil:
				return fmt.Errorf("append at version %d: %w", version, err)
			case done.Version != version || won.Add(1) != 1:
				return fmt.Errorf("append at version %d = %+v, behind another that won", version, done)
			}
			winner = label
			return nil
		})
		if won.Load() != 1 {
			f.Fatalf("%d of %d appends won version %d, want 1", won.Load(), contenders, version)
		}
		f.wantLabels("ReadStream", f.stream("order-1", eventstore.ReadOptions{From: version}), winner)
	}
}

// Retries may overtake the request that they repeat.
func storesIDsOnce(f *fixture) {
	const n = 8
	f.append("order-1", eventstore.NoStream, event("z"))
	labels := []string{"z"}
	for i, mode := range []eventstore.ExpectedVersion{eventstore.Any, eventstore.StreamExists, eventstore.Exact(4)} {
		list := numbered(fmt.Sprint(i, "."), 2)
		labels = append(labels, fmt.Sprint(i, ".0"), fmt.Sprint(i, ".1"))
		var done [n]eventstore.Appended
		f.concurrently(n, func(i int) (err error) {
			done[i], err = f.tryAppend("order-1", mode, list...)
			return err
		})
		first := 0
		for _, a := range done {
			if !a.Duplicate {
				first++
			}
			if !sameResult(a, done[0]) {
				f.Errorf("appends of the same ids were answered %+v and %+v", a, done[0])
			}
		}
		if first != 1 {
			f.Errorf("%d of %d appends of the same ids say that they were first, want 1", first, n)
		}
	}
	f.wantLabels("ReadStream", f.stream("order-1", eventstore.ReadOptions{}), labels...)
}

func keepsEveryAppend(f *fixture) {
	const n, each = 8, 12
	f.concurrently(n, func(w int) error {
		for i := range each {
			stream := fmt.Sprint("order-", i%3)
			if _, err := f.tryAppend(stream, eventstore.Any, events(fmt.Sprint(w, ".", i, "a"), fmt.Sprint(w, ".", i, "b"))...); err != nil {
				return fmt.Errorf("append %d of writer %d: %w", i, w, err)
			}
		}
		return nil
	})
	all := labels(f.wantLog(n * each * 2))
	for w := range n {
		last := -1
		for i := range each {
			at := slices.Index(all, fmt.Sprint(w, ".", i, "a"))
			if at <= last || all[at+1] != fmt.Sprint(w, ".", i, "b") {
				f.Fatalf("append %d of writer %d is at %d of the log, its append before at %d", i, w, at, last)
			}
			last = at
		}
	}
	for i := range 3 {
		for version, e := range f.stream(fmt.Sprint("order-", i), eventstore.ReadOptions{}) {
			if e.Version != int64(version) {
				f.Fatalf("event %d of order-%d has version %d", version, i, e.Version)
			}
		}
	}
}

// Each writer names two streams in the order of its own; locks taken in that
// order would block each other.
func movesBetweenStreams(f *fixture) {
	const n, each = 4, 10
	f.concurrently(n, func(w int) error {
		for i := range each {
			from, to := fmt.Sprint("account-", w%2), fmt.Sprint("account-", 1-w%2)
			label := fmt.Sprint(w, ".", i)
			_, err := f.tryAppendStreams(
				streamAppend(from, eventstore.Any, event(label)), streamAppend(to, eventstore.Any, event(label)))
			if err != nil {
				return fmt.Errorf("move %s: %w", label, err)
			}
		}
		return nil
	})
	all := f.wantLog(n * each * 2)
	for i := 0; i < len(all); i += 2 {
		if a, b := all[i], all[i+1]; string(a.Data) != string(b.Data) || a.Stream == b.Stream || a.AppendEnd != b.Position {
			f.Fatalf("positions %d and %d have %+v and %+v, want the two halves of a move", a.Position, b.Position, a, b)
		}
	}
}
