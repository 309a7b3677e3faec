package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
)

// The table says what there is up to a position, and is brought forward by whoever asks: appends do
// nothing for it, and those of programs that know nothing of it are counted like all others.
const selectCounted = `
SELECT position, coalesce((SELECT max(position) FROM {schema}.events), 0) FROM {schema}.log_contents_position`

// Turn has a row only if nobody else has counted the step, and the snapshot of the statement, which
// may be older than the row that it waited for, has all events of it.
//
// Where the step begins and ends are parameters, though the table has its beginning: the planner
// takes positions that it does not know for a large part of the log, and a plan for that many rows is
// compiled (jit_above_cost), which takes five times as long as to count them.
const countContents = `
WITH turn AS MATERIALIZED (
    SELECT FROM {schema}.log_contents_position
    WHERE position = $1 AND $2 <= (SELECT max(position) FROM {schema}.events) FOR UPDATE
), counted AS (
    INSERT INTO {schema}.log_contents AS c (category_id, type_id, first_position, events)
    SELECT e.category_id, e.type_id, min(e.position), count(*)
    FROM {schema}.events e
    WHERE e.position > $1 AND e.position <= $2 AND EXISTS (SELECT FROM turn)
    GROUP BY 1, 2
    ON CONFLICT (category_id, type_id) DO UPDATE SET events = c.events + excluded.events
)
UPDATE {schema}.log_contents_position SET position = $2 WHERE EXISTS (SELECT FROM turn)`

// The parameter is a position that was counted up to, maybe by now to another: it is for the planner,
// as above.
const selectContents = `
WITH parts AS (
    SELECT category_id, type_id, first_position, events FROM {schema}.log_contents
    UNION ALL
    SELECT e.category_id, e.type_id, min(e.position), count(*) FROM {schema}.events e
    WHERE e.position > $1 AND e.position > (SELECT position FROM {schema}.log_contents_position)
    GROUP BY 1, 2
)
SELECT c.name, t.name, t.schema_version, min(p.first_position), sum(p.events)::bigint
FROM parts p
JOIN {schema}.categories c ON c.id = p.category_id
JOIN {schema}.event_types t ON t.id = p.type_id
GROUP BY 1, 2, 3
ORDER BY 4`

// Contents implements eventstore.ContentLister. It counts what was appended since it was called
// last, by any process: 10 million events take some seconds, the first time after a migration.
func (s *Store) Contents(ctx context.Context) ([]eventstore.Content, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	counted, err := s.countContents(ctx)
	if err != nil {
		return nil, fmt.Errorf("count the contents of the log: %w", translate(err))
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := s.cfg.Pool.Query(ctx, s.sql(selectContents), counted)
	if err != nil {
		return nil, fmt.Errorf("read the contents of the log: %w", translate(err))
	}
	contents, err := pgx.CollectRows(rows, pgx.RowToStructByPos[eventstore.Content])
	if err != nil {
		return nil, fmt.Errorf("read the contents of the log: %w", translate(err))
	}
	return contents, nil
}

// countContents brings the table forward, step by step, as long as the log is ahead of it by one, and
// returns how far it is. A database that is read-only leaves it where it is.
func (s *Store) countContents(ctx context.Context) (counted int64, err error) {
	for {
		var head int64
		if counted, head, err = s.counted(ctx); err != nil || head-counted < s.contentsStep {
			return counted, err
		}
		if err := s.countStep(ctx, counted, counted+s.contentsStep); err != nil {
			if pgerr.IsReadOnly(err) {
				err = nil
			}
			return counted, err
		}
	}
}

// counted returns up to where the contents are counted, and where the log ends.
func (s *Store) counted(ctx context.Context) (counted, head int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = s.cfg.Pool.QueryRow(ctx, s.sql(selectCounted)).Scan(&counted, &head)
	return counted, head, err
}

// countStep counts the events behind a position up to another, unless another process has.
func (s *Store) countStep(ctx context.Context, from, to int64) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	_, err := s.cfg.Pool.Exec(ctx, s.sql(countContents), from, to)
	return err
}
