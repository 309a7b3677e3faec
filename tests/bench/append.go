package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// The contenders of Append.
const (
	nameRecount    = "recount"
	nameCounterRow = "counter-row"
	nameUnordered  = "unordered"
	nameInsert     = "insert"
	nameCopy       = "copy"
)

var appendNames = []string{nameRecount, nameCounterRow, nameUnordered, nameInsert, nameCopy}

// Append measures how fast events are appended.
type Append struct {
	// Callers are the numbers of callers to measure with, each waiting for its own append.
	Callers []int
	// Duration is how long to measure each contender with each number of callers.
	Duration time.Duration
	// Batch is how many events one append has.
	Batch int
	// Streams is one of StreamsNew, StreamsExisting, StreamsHot.
	Streams string
	// Snapshot holds a snapshot of the database open all the time.
	Snapshot bool
	// Only are the contenders to measure. Default: all.
	Only []string
}

const (
	maxCallers = 512
	maxBatch   = 1000
)

// Name implements Benchmark.
func (a Append) Name() string { return "append" }

// Check implements Benchmark.
func (a Append) Check() error {
	for _, name := range a.Only {
		if !slices.Contains(appendNames, name) {
			return invalid("there is no contender %q, there are %s", name, strings.Join(appendNames, ", "))
		}
	}
	switch {
	case !slices.Contains([]string{StreamsNew, StreamsExisting, StreamsHot}, a.Streams):
		return invalid("streams must be new, existing or hot, got %q", a.Streams)
	case a.Batch < 1 || a.Batch > maxBatch:
		return invalid("a batch must have 1 to %d events, got %d", maxBatch, a.Batch)
	}
	return errors.Join(checkCallers(a.Callers), checkDuration(a.Duration))
}

func checkCallers(numbers []int) error {
	if len(numbers) == 0 {
		return invalid("there must be callers")
	}
	for _, n := range numbers {
		if n < 1 || n > maxCallers {
			return invalid("there must be 1 to %d callers, got %d", maxCallers, n)
		}
	}
	return nil
}

func checkDuration(d time.Duration) error {
	if d <= 0 {
		return invalid("the duration must be positive, got %s", d)
	}
	return nil
}

func (a Append) run(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	for _, callers := range a.Callers {
		// Tables of their own for each number of callers: a table gets slower as it grows.
		err := env.with(ctx, callers, func(s *scratch) error {
			found, err := a.measure(ctx, env, s, callers)
			results = append(results, found...)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	found := ratios(results, "", nameRecount, rate)
	if a.Snapshot {
		maps.Copy(found, steadiness(results))
	}
	return results, found, nil
}

func (a Append) measure(ctx context.Context, env *Env, s *scratch, callers int) (_ []Result, err error) {
	contenders, err := a.contenders(ctx, s, callers)
	if err != nil {
		return nil, err
	}
	if a.Snapshot {
		release, err := s.holdSnapshot(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	return compete(ctx, env, pace{callers, a.Duration, defaultRounds}, contenders...)
}

func (a Append) contenders(ctx context.Context, s *scratch, callers int) (list []contender, err error) {
	for _, name := range appendNames {
		if len(a.Only) > 0 && !slices.Contains(a.Only, name) {
			continue
		}
		if name == nameRecount {
			c, err := a.recount(ctx, s, callers)
			if err != nil {
				return nil, err
			}
			list = append(list, c)
			continue
		}
		b, err := newBaseline(ctx, s, a, callers, name)
		if err != nil {
			return nil, err
		}
		list = append(list, contender{name, b.calls(name)})
	}
	return list, nil
}

// recount is the log itself.
func (a Append) recount(ctx context.Context, s *scratch, callers int) (contender, error) {
	work := newStreams(a.Streams, callers)
	if a.Streams == StreamsExisting {
		if err := s.fill(ctx, existingStreams, 1); err != nil {
			return contender{}, err
		}
	}
	return contender{nameRecount, func(ctx context.Context, caller int) (int, error) {
		stream, version := work.next(caller, a.Batch)
		_, err := s.store.Append(ctx, eventstore.StreamAppend{
			Stream: streamName(stream), Expected: expected(version), Events: newEvents(a.Batch),
		}, eventstore.AppendOptions{})
		return a.Batch, err
	}}, nil
}

// steadiness compares the last round of each contender with its first: whether it gets slower.
func steadiness(results []Result) map[string]float64 {
	found := make(map[string]float64)
	for _, r := range results {
		if last := len(r.Rounds) - 1; last > 0 && r.Rounds[0] > 0 {
			found[fmt.Sprintf("last round/first %s@%d", r.Name, r.Callers)] = r.Rounds[last] / r.Rounds[0]
		}
	}
	return found
}
