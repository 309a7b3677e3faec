package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
)

// The table says what there is up to a position, and is brought forward by whoever asks: appends do
// nothing for it, and those of programs that know nothing of it are counted like all others. Turn
// has a row only if the snapshot of the statement, which may be older than the row that it waited
// for, has all events of the step.
const countContents = `
WITH turn AS MATERIALIZED (
    SELECT position FROM {schema}.log_contents_position
    WHERE position + $1::bigint <= (SELECT max(position) FROM {schema}.events) FOR UPDATE
), counted AS (
    INSERT INTO {schema}.log_contents AS c (category_id, type_id, first_position, events)
    SELECT e.category_id, e.type_id, min(e.position), count(*)
    FROM turn JOIN {schema}.events e ON e.position > turn.position AND e.position <= turn.position + $1::bigint
    GROUP BY 1, 2
    ON CONFLICT (category_id, type_id) DO UPDATE SET events = c.events + excluded.events
)
UPDATE {schema}.log_contents_position p SET position = turn.position + $1::bigint FROM turn`

const selectContents = `
WITH parts AS (
    SELECT category_id, type_id, first_position, events FROM {schema}.log_contents
    UNION ALL
    SELECT e.category_id, e.type_id, min(e.position), count(*) FROM {schema}.events e
    WHERE e.position > (SELECT position FROM {schema}.log_contents_position)
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
	for counted := true; counted; {
		var err error
		if counted, err = s.countContents(ctx); err != nil && !pgerr.IsReadOnly(err) {
			return nil, fmt.Errorf("count the contents of the log: %w", translate(err))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := s.cfg.Pool.Query(ctx, s.sql(selectContents))
	if err != nil {
		return nil, fmt.Errorf("read the contents of the log: %w", translate(err))
	}
	contents, err := pgx.CollectRows(rows, pgx.RowToStructByPos[eventstore.Content])
	if err != nil {
		return nil, fmt.Errorf("read the contents of the log: %w", translate(err))
	}
	return contents, nil
}

// countContents brings the table forward by a step, if the log is ahead of it by as much.
func (s *Store) countContents(ctx context.Context) (counted bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	tag, err := s.cfg.Pool.Exec(ctx, s.sql(countContents), s.contentsStep)
	return tag.RowsAffected() > 0, err
}
