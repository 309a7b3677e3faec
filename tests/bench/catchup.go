package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/eventstore"
)

// catchUp lets a fold work off a log, and the usual loop as much of it as it can in the same time
// or in Duration, whatever is longer.
func (p Project) catchUp(ctx context.Context, env *Env) (results []Result, _ error) {
	err := env.with(ctx, appenders, func(s *scratch) error {
		env.say("catching up with %d events", p.Events)
		codec, err := newNoteCodec()
		if err != nil {
			return err
		}
		if err := s.fillNotes(ctx, codec, p.Events); err != nil {
			return err
		}
		caught, err := s.catchUp(ctx, codec)
		if err != nil {
			return err
		}
		l, err := s.newLoop(ctx)
		if err != nil {
			return err
		}
		defer func() { l.stop() }()
		var looped tally
		duration := max(p.Duration, time.Duration(caught.Seconds*float64(time.Second)))
		if err := looped.round(ctx, contender{nameLoop, l.one}, 1, duration); err != nil {
			return err
		}
		results = []Result{caught, looped.result(nameLoop, 1)}
		return nil
	})
	return results, err
}

// fillNotes appends notes, those of a stream in order.
func (s *scratch) fillNotes(ctx context.Context, codec *eventstore.Codec, n int) error {
	l := live{value: note}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4 * appenders)
	for first := 0; first < n && ctx.Err() == nil; first += notesPerStream {
		group.Go(func() error {
			for i := first; i < min(first+notesPerStream, n); i++ {
				if _, err := l.append(ctx, s.store, codec, i); err != nil {
					return fmt.Errorf("fill the log: %w", err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// catchUp is the engine: from the start of the runner until the fold has the whole log.
func (s *scratch) catchUp(ctx context.Context, codec *eventstore.Codec) (_ Result, err error) {
	head, err := s.store.Head(ctx)
	if err != nil {
		return Result{}, err
	}
	begun, busy := time.Now(), processorTime()
	follow, err := s.startRunner(ctx, codec, newNotes())
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, follow.stop(ctx)) }()
	if err := follow.reach(ctx, head); err != nil {
		return Result{}, err
	}
	return oneCall(nameCatchUp, head.Position, time.Since(begun), processorTime()-busy), nil
}

// oneCall is the result of something that is done once.
func oneCall(name string, events int64, took, busy time.Duration) Result {
	var t tally
	t.add(events, took, busy)
	t.latency.add(took)
	return t.result(name, 1)
}

const (
	createLoopTables = `
CREATE TABLE loop_notes (stream text PRIMARY KEY, count bigint NOT NULL, sum bigint NOT NULL, text text NOT NULL, at timestamptz NOT NULL);
CREATE TABLE loop_checkpoint AS SELECT 0::bigint AS position`
	upsertNote = `
INSERT INTO loop_notes VALUES ($1, 1, $2, $3, $4)
ON CONFLICT (stream) DO UPDATE SET count = loop_notes.count + 1, sum = loop_notes.sum + excluded.sum, text = excluded.text, at = excluded.at`
	moveLoopCheckpoint = `
UPDATE loop_checkpoint SET position = $1`
)

// loop is what a projection is without an engine: it reads the log and applies one event after the
// other, each with the checkpoint in a transaction of its own, here even in one round trip.
type loop struct {
	s    *scratch
	next func() (eventstore.RecordedEvent, error, bool)
	stop func()
}

// newLoop returns a loop that is at the beginning of the log.
func (s *scratch) newLoop(ctx context.Context) (*loop, error) {
	if _, err := s.pool.Exec(ctx, createLoopTables, pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, fmt.Errorf("make the tables of the loop: %w", err)
	}
	l := &loop{s: s}
	l.begin(ctx)
	return l, nil
}

func (l *loop) begin(ctx context.Context) {
	l.next, l.stop = iter.Pull2(l.s.store.ReadAll(ctx, eventstore.ReadOptions{}))
}

// one applies the next event. Behind the last one of the log comes the first again.
func (l *loop) one(ctx context.Context, _ int) (events int, _ error) {
	e, err, more := l.next()
	if !more {
		l.stop()
		l.begin(ctx)
		e, err, more = l.next()
	}
	switch {
	case err != nil:
		return 0, err
	case !more:
		return 0, errors.New("the log is empty")
	}
	var n noted
	if err := json.Unmarshal(e.Data, &n); err != nil {
		return 0, fmt.Errorf("decode an event: %w", err)
	}
	b := &pgx.Batch{}
	b.Queue(upsertNote, e.Stream, n.N, n.Text, e.RecordedAt)
	b.Queue(moveLoopCheckpoint, e.Position)
	if err := l.s.pool.SendBatch(ctx, b).Close(); err != nil {
		return 0, fmt.Errorf("apply an event: %w", err)
	}
	return 1, nil
}
