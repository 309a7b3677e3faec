package bench

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
)

// Growth measures whether a log gets slower as it grows.
type Growth struct {
	// Events are the lengths of the log to measure at, ascending, besides one that is nearly empty.
	Events []int
	// Duration is how long to measure each kind of work at each length.
	Duration time.Duration
}

const (
	// smallLog is the length to begin with: streams to load have to come from somewhere.
	smallLog = 10_000
	// grownEvents is how many events the streams have that are loaded.
	grownEvents = 10
	// maxGrowth is a bound for what a disk holds: an event takes some 450 bytes with its indexes.
	maxGrowth = 1_000_000_000
)

// Name implements Benchmark.
func (g Growth) Name() string { return "growth" }

// Check implements Benchmark.
func (g Growth) Check() error {
	if len(g.Events) == 0 {
		return invalid("there must be a length of the log to measure at")
	}
	least := smallLog + 1
	for _, n := range g.Events {
		if n < least || n > maxGrowth {
			return invalid("lengths of the log must ascend from %d to %d events, got %v", smallLog+1, maxGrowth, g.Events)
		}
		least = n + 1
	}
	return checkDuration(g.Duration)
}

// growthWork is a kind of work that is to take as long with a long log as with a short one.
type growthWork struct {
	question string
	callers  int
	call     func(context.Context, int) (int, error)
}

func (g Growth) run(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	sizes := append([]int{smallLog}, g.Events...)
	var works []growthWork
	measured := make(map[int][]Result) // by number of the work, one result for each size
	err = env.with(ctx, appenders, func(s *scratch) error {
		log := &growingLog{scratch: s}
		works = log.works()
		for _, size := range sizes {
			env.say("growing the log to %d events", size)
			if err := log.grow(ctx, size); err != nil {
				return err
			}
			for i, w := range works {
				env.say("%d events: %s, %s", size, w.question, callers(w.callers))
				found, err := compete(ctx, env, pace{w.callers, g.Duration, defaultRounds}, contender{lengthName(size), w.call})
				if err != nil {
					return err
				}
				measured[i] = append(measured[i], found...)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	all := make(map[string]float64)
	for i, w := range works {
		found := make(map[string]float64)
		for _, size := range g.Events {
			pair := only(measured[i], lengthName(size), lengthName(smallLog))
			maps.Copy(found, ratios(pair, "p50 ", lengthName(size), median))
		}
		list, named := asked(w.question, measured[i], found)
		results = append(results, list...)
		maps.Copy(all, named)
	}
	return results, all, nil
}

func lengthName(events int) string { return grouped(float64(events)) + " events" }

// growingLog is a log of whole streams, numbered from 1 as they are in the log, and of those that
// the measured appends leave behind.
type growingLog struct {
	*scratch
	streams int64 // how many whole ones there are
	begun   atomic.Int64
}

// works are in the order in which they are measured: the loads before the appends, which make the
// log longer.
func (l *growingLog) works() []growthWork {
	const loads, appends = "load a stream of 10 events", "append an event to a new stream"
	return []growthWork{
		{loads + ", of the oldest tenth", 1, func(ctx context.Context, _ int) (int, error) { return l.load(ctx, 0) }},
		{loads + ", of the newest tenth", 1, func(ctx context.Context, _ int) (int, error) { return l.load(ctx, l.streams-l.streams/10) }},
		{appends, 1, l.append},
		{appends + ", many at once", appenders, l.append},
	}
}

// load loads one of the tenth of streams that begins behind stream number after.
func (l *growingLog) load(ctx context.Context, after int64) (int, error) {
	n, err := l.readStream(ctx, streamName(after+1+rand.Int64N(l.streams/10)))
	if err == nil && n != grownEvents {
		err = fmt.Errorf("a stream has %d events instead of %d", n, grownEvents)
	}
	return n, err
}

func (l *growingLog) append(ctx context.Context, _ int) (int, error) {
	_, err := l.store.Append(ctx, eventstore.StreamAppend{
		Stream: fmt.Sprintf("grown-%d", l.begun.Add(1)), Expected: eventstore.NoStream, Events: newEvents(1),
	}, eventstore.AppendOptions{})
	return 1, err
}

// grow makes the log as long as size, if it is not, and lets the server catch up with its chores,
// so that they fall into no measurement.
func (l *growingLog) grow(ctx context.Context, size int) error {
	head, err := l.store.Head(ctx)
	if err != nil {
		return err
	}
	if head.Position == 0 {
		err = l.fill(ctx, smallLog/grownEvents, grownEvents)
		l.streams = smallLog / grownEvents
	} else if missing := (int64(size) - head.Position) / grownEvents; missing > 0 {
		err = l.copyStreams(ctx, l.streams+1, missing, grownEvents)
		l.streams += missing
	}
	if err != nil {
		return err
	}
	_, err = l.pool.Exec(ctx, `VACUUM ANALYZE events, streams`)
	if err == nil {
		_, err = l.pool.Exec(ctx, `CHECKPOINT`)
	}
	if pgerr.Is(err, pgerr.NoRight) { // on a server of others it comes when it comes
		return nil
	}
	return err
}
