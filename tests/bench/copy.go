package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// copiedAtOnce is how many streams one transaction writes.
	copiedAtOnce = 100_000
	// interleaved is how many streams get their events in turns, as they would from many callers.
	interleaved = 1000
)

// copyStreams writes new streams, numbered from first, with so many events each, past the store but
// as the store would have written them: under the lock, behind the last event, without gaps, the id
// of a stream the position of its first event. There must be a stream number 1 already.
func (s *scratch) copyStreams(ctx context.Context, first, streams int64, events int) error {
	for streams > 0 {
		n := min(streams, copiedAtOnce)
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			c := streamCopy{first: first, streams: n, events: int64(events)}
			if err := c.begin(ctx, tx); err != nil {
				return err
			}
			return c.write(ctx, tx)
		})
		if err != nil {
			return fmt.Errorf("copy streams %d to %d: %w", first, first+n-1, err)
		}
		first, streams = first+n, streams-n
	}
	return nil
}

// streamCopy is what one transaction of copyStreams writes.
type streamCopy struct {
	first, streams, events int64
	head                   int64
	at                     time.Time
	typeID, categoryID     int32
}

const (
	lockLog = `SELECT only_row FROM log_lock FOR UPDATE`
	// A later statement than the one that waits for the lock.
	selectCopied = `
SELECT last.position, greatest(clock_timestamp(), last.recorded_at), like_this.type_id, like_this.category_id
FROM (SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1) AS last,
     (SELECT type_id, category_id FROM events WHERE stream_id = (SELECT id FROM streams WHERE name = $1) LIMIT 1) AS like_this`
)

// begin finds out where the events go and what they are.
func (c *streamCopy) begin(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, lockLog); err != nil {
		return err
	}
	return tx.QueryRow(ctx, selectCopied, streamName(1)).Scan(&c.head, &c.at, &c.typeID, &c.categoryID)
}

func (c *streamCopy) write(ctx context.Context, tx pgx.Tx) error {
	streams := pgx.CopyFromSlice(int(c.streams), func(i int) ([]any, error) {
		return []any{c.firstOf(int64(i)), streamName(c.first + int64(i)), c.categoryID}, nil
	})
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"streams"}, []string{"id", "name", "category_id"}, streams); err != nil {
		return err
	}
	events := pgx.CopyFromSlice(int(c.streams*c.events), func(i int) ([]any, error) {
		stream, version := c.event(int64(i))
		return []any{c.head + 1 + int64(i), c.firstOf(stream), version, c.at, newID(), c.typeID, c.categoryID, 0, 0, payload, []byte{}}, nil
	})
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"events"}, baselineColumns, events)
	return err
}

// Streams and events are numbered from 0 here. Groups of streams follow each other; in a group
// every stream gets its first event, then every stream its second one, and so on.

// group returns the first stream of the group of a stream, and how many streams the group has.
func (c *streamCopy) group(stream int64) (first, width int64) {
	first = stream / interleaved * interleaved
	return first, min(interleaved, c.streams-first)
}

// firstOf returns the position of the first event of a stream.
func (c *streamCopy) firstOf(stream int64) int64 {
	group, _ := c.group(stream)
	return c.head + 1 + group*c.events + stream - group
}

// event returns the stream and version of an event.
func (c *streamCopy) event(n int64) (stream, version int64) {
	group, width := c.group(n / c.events)
	within := n - group*c.events
	return group + within%width, within / width
}
