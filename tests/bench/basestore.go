package bench

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// baseStore is a baseline as a store.
type baseStore struct {
	*baseline
	name string
}

func newBaseStore(ctx context.Context, s *scratch, name string) (baseStore, error) {
	b, err := newBaseline(ctx, s, Append{Batch: 1, Streams: StreamsNew}, 1, name)
	return baseStore{b, name}, err
}

// Append implements Store.
func (b baseStore) Append(ctx context.Context, stream int64, events int) error {
	at := place{stream: stream}
	if b.name == nameCounterRow {
		return b.counterRow(ctx, at, events)
	}
	return b.unordered(ctx, at, events)
}

// Load implements Store.
func (b baseStore) Load(ctx context.Context, stream int64) (int, error) {
	_, n, err := b.read(ctx, `stream_id = $1 ORDER BY version`, func(int64) {}, stream)
	return n, err
}

// ReadAll implements Store.
func (b baseStore) ReadAll(ctx context.Context) (all int, _ error) {
	for last := int64(0); ; {
		position, n, err := b.behind(ctx, last, func(int64) {})
		if err != nil || n == 0 {
			return all, err
		}
		all += n
		last = position
	}
}

// Tail implements Store. It is what most would write: from the last position that was seen, on.
func (b baseStore) Tail(ctx context.Context, deliver func(int64)) error {
	last := int64(0)
	return Poll(ctx, func() (int, error) {
		position, n, err := b.behind(ctx, last, deliver)
		if n > 0 {
			last = position
		}
		return n, err
	})
}

// behind reads a page of events behind a position.
func (b baseStore) behind(ctx context.Context, position int64, deliver func(int64)) (last int64, n int, _ error) {
	return b.read(ctx, `position > $1 ORDER BY position LIMIT 1000`, deliver, position)
}

func (b baseStore) read(ctx context.Context, condition string, deliver func(int64), arg int64) (last int64, n int, _ error) {
	rows, err := b.scratch.pool.Query(ctx, `SELECT position, stream_id, data FROM `+b.quoted()+` WHERE `+condition, arg)
	if err != nil {
		return 0, 0, err
	}
	var stream int64
	var data []byte
	_, err = pgx.ForEachRow(rows, []any{&last, &stream, &data}, func() error {
		var h Happened
		if err := json.Unmarshal(data, &h); err != nil {
			return fmt.Errorf("decode an event: %w", err)
		}
		deliver(stream)
		n++
		return nil
	})
	return last, n, err
}

// Close implements Store: the tables end with their scratch.
func (b baseStore) Close(context.Context) error { return nil }
