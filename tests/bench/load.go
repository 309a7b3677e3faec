package bench

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// Load measures how fast one stream is loaded, as before every command whose state is not
// remembered.
type Load struct {
	// Callers are the numbers of callers to measure with.
	Callers []int
	// Duration is how long to measure each contender with each number of callers.
	Duration time.Duration
	// Events is how many events a stream has.
	Events int
}

const (
	loadStreams     = 2000
	maxStreamEvents = 100_000
	// maxLoadEvents bounds the log of Load: with long streams there are fewer of them.
	maxLoadEvents = 200_000
)

// Name implements Benchmark.
func (l Load) Name() string { return "load" }

// Check implements Benchmark.
func (l Load) Check() error {
	if l.Events < 1 || l.Events > maxStreamEvents {
		return invalid("a stream must have 1 to %d events, got %d", maxStreamEvents, l.Events)
	}
	return errors.Join(checkCallers(l.Callers), checkDuration(l.Duration))
}

func (l Load) streams() int { return min(loadStreams, max(maxLoadEvents/l.Events, 1)) }

func (l Load) run(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	most := 0
	for _, n := range l.Callers {
		most = max(most, n)
	}
	err = env.with(ctx, most, func(s *scratch) error {
		env.say("appending %d events to each of %d streams", l.Events, l.streams())
		if err := s.fill(ctx, l.streams(), l.Events); err != nil {
			return err
		}
		if _, err := s.pool.Exec(ctx, `VACUUM ANALYZE events`); err != nil {
			return err
		}
		for _, callers := range l.Callers {
			found, err := compete(ctx, env, pace{callers, l.Duration, defaultRounds},
				contender{nameRecount, func(ctx context.Context, _ int) (int, error) { return s.readStream(ctx, l.pick()) }},
				contender{nameSelect, func(ctx context.Context, _ int) (int, error) { return s.selectStream(ctx, l.pick()) }})
			if err != nil {
				return err
			}
			results = append(results, found...)
		}
		return nil
	})
	found := ratios(results, "", nameRecount, rate)
	maps.Copy(found, ratios(results, "p50 ", nameRecount, median))
	return results, found, err
}

func (l Load) pick() string { return streamName(1 + rand.Int64N(int64(l.streams()))) }

func (s *scratch) readStream(ctx context.Context, stream string) (n int, _ error) {
	for _, err := range s.store.ReadStream(ctx, stream, eventstore.ReadOptions{}) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// The columns of ReadStream, without what tells whether the stream is deleted or truncated.
const selectOneStream = `
SELECT position, stream_id, version, recorded_at, id, type_id, append_rest, data, metadata
FROM events WHERE stream_id = (SELECT id FROM streams WHERE name = $1) ORDER BY version`

func (s *scratch) selectStream(ctx context.Context, stream string) (int, error) {
	rows, err := s.pool.Query(ctx, selectOneStream, stream)
	if err != nil {
		return 0, err
	}
	return scanRows(rows)
}
