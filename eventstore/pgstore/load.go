package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgsession"
)

// maxLoads bounds how many streams one statement reads.
const maxLoads = 64

// load is the question for the first page of a stream from a version on.
type load struct {
	stream string
	from   int64
	page   *page
	done   chan error
}

// loadPage reads the first page of a stream into p, together with whoever reads
// another one at the same time. Rows carry as marked what says that not all of
// them may be shown.
func (s *Store) loadPage(ctx context.Context, p *page, stream string, from int64) error {
	q := &load{stream: stream, from: from, page: p, done: make(chan error, 1)}
	if err := s.loads.ask(ctx, q); err != nil {
		return err
	}
	select {
	case err := <-q.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("read stream %q: %w", stream, ctx.Err())
	}
}

// Subselects around parameters keep the planner from estimates by the length of
// arrays, for which it would make a new plan each time; OFFSET 0 has it look for
// metadata once for each stream, not for each event. In the place of the stream's
// id rows have the number of the question.
const streamsForwards = `
SELECT e.position, u.n, e.version, e.recorded_at, e.id, e.type_id, e.append_rest, e.data, e.metadata,
       e.flags & 6 <> 0 OR u.metadata_id IS NOT NULL
FROM (
    SELECT u.name, u.from_version, u.n,
           (SELECT ms.id FROM {schema}.streams ms WHERE ms.name = '$$' || u.name) AS metadata_id
    FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[])) WITH ORDINALITY AS u(name, from_version, n)
    OFFSET 0) AS u
CROSS JOIN LATERAL (
    SELECT e.position, e.version, e.recorded_at, e.id, e.type_id, e.append_rest, e.data, e.metadata, e.flags
    FROM {schema}.events e
    WHERE e.stream_id = (SELECT s.id FROM {schema}.streams s WHERE s.name = u.name) AND e.version >= u.from_version
    ORDER BY e.version LIMIT $3) AS e`

func (s *Store) answerLoads(ctx context.Context, questions []*load) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err := s.readStreams(ctx, questions)
	for _, q := range questions {
		if err != nil {
			q.done <- fmt.Errorf("read stream %q: %w", q.stream, translate(err))
		} else {
			q.done <- nil
		}
	}
}

func (s *Store) readStreams(ctx context.Context, questions []*load) error {
	if len(questions) == 1 {
		q := questions[0]
		return s.queryPage(ctx, q.page, streamForwards, q.stream, q.from, firstPage)
	}
	names, from := make([]string, len(questions)), make([]int64, len(questions))
	for i, q := range questions {
		names[i], from[i] = q.stream, q.from
	}
	return pgsession.Retry(ctx, func() error {
		for _, q := range questions {
			q.page.reset()
		}
		rows, err := s.cfg.Pool.Query(ctx, s.sql(streamsForwards), names, from, firstPage)
		if err != nil {
			return err
		}
		return scanRows(rows, new(arena), func(r *row) error {
			questions[r.ids.stream-1].page.add(r, firstPage)
			return nil
		})
	})
}

// queryPage reads a page of a stream into p.
func (s *Store) queryPage(ctx context.Context, p *page, statement, stream string, next int64, limit int) error {
	return s.scanPage(ctx, p, limit, statement, stream, next, limit)
}

// readState reads what may be shown of a stream.
func (s *Store) readState(ctx context.Context, stream string) (*streamState, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var state streamState
	err := pgsession.Retry(ctx, func() error {
		b := &pgx.Batch{}
		s.queueStreamState(b, stream, &state)
		return s.cfg.Pool.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return nil, fmt.Errorf("read stream %q: %w", stream, translate(err))
	}
	return &state, nil
}
