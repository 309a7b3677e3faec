package bench

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
)

// Read measures how fast the whole log is read.
type Read struct {
	// Callers are the numbers of readers to measure with, each of which reads all of the log.
	Callers []int
	// Duration is how long to measure each contender with each number of callers.
	Duration time.Duration
	// Events is how long the log is. A call is a read of all of it.
	Events int
}

// maxEvents bounds the logs that are made to be measured.
const maxEvents = 10_000_000

// Name implements Benchmark.
func (r Read) Name() string { return "read" }

// Check implements Benchmark.
func (r Read) Check() error {
	return errors.Join(checkCallers(r.Callers), checkDuration(r.Duration), checkEvents(r.Events))
}

func checkEvents(n int) error {
	if n < 1 || n > maxEvents {
		return invalid("there must be 1 to %d events, got %d", maxEvents, n)
	}
	return nil
}

// eventsPerStream is how many events the streams of a log have that is read as a whole.
const eventsPerStream = 5

func (r Read) run(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	most := 0
	for _, n := range r.Callers {
		most = max(most, n)
	}
	err = env.with(ctx, most, func(s *scratch) error {
		env.say("appending %d events", r.Events)
		if err := s.fill(ctx, max(r.Events/eventsPerStream, 1), min(r.Events, eventsPerStream)); err != nil {
			return err
		}
		if _, err := s.pool.Exec(ctx, `VACUUM ANALYZE events`); err != nil {
			return err
		}
		for _, callers := range r.Callers {
			var watch memoryWatch
			found, err := compete(ctx, env, pace{callers, r.Duration, defaultRounds},
				contender{nameRecount, watch.watching(s.readAll)}, contender{nameSelect, s.selectAll})
			if err != nil {
				return err
			}
			found[0].PeakHeapMB = megabytes(watch.heap)
			results = append(results, found...)
		}
		return nil
	})
	return results, ratios(results, "", nameRecount, rate), err
}

const nameSelect = "select"

func (s *scratch) readAll(ctx context.Context, _ int) (n int, _ error) {
	for _, err := range s.store.ReadAll(ctx, eventstore.ReadOptions{}) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// The columns and pages of ReadAll. Names of streams and types are not looked up.
const selectPage = `
SELECT position, stream_id, version, recorded_at, id, type_id, append_rest, data, metadata
FROM events WHERE position BETWEEN $1 AND $2 ORDER BY position LIMIT $3`

func (s *scratch) selectAll(ctx context.Context, _ int) (n int, _ error) {
	for {
		rows, err := s.pool.Query(ctx, selectPage, n+1, n+eventstore.DefaultPageSize, eventstore.DefaultPageSize)
		if err != nil {
			return n, err
		}
		page, err := scanRows(rows)
		if err != nil || page == 0 {
			return n, err
		}
		n += page
	}
}

// scanRows reads rows of selectPage into Go values, and counts them.
func scanRows(rows pgx.Rows) (n int, _ error) {
	var position, streamID, version int64
	var recordedAt time.Time
	var id uuid.UUID
	var typeID, rest int32
	var data, metadata []byte
	_, err := pgx.ForEachRow(rows, []any{&position, &streamID, &version, &recordedAt, &id, &typeID, &rest, &data, &metadata}, func() error {
		data, metadata = nil, nil // a reader that keeps events needs bytes of their own
		n++
		return nil
	})
	return n, err
}
