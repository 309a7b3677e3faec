package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"
)

const (
	selectAllTypes = `
SELECT t.name, t.schema_version, t.content_type, t.id FROM recount.event_types t`
	selectNames = `
SELECT u.id, s.name FROM unnest($1::bigint[]) AS u(id)
CROSS JOIN LATERAL (SELECT s.name FROM recount.streams s WHERE s.id = u.id LIMIT 1) AS s`
)

// learnTypes reads the whole dictionary of event types.
func (s *Store) learnTypes(ctx context.Context, q querier) error {
	rows, err := q.Query(ctx, s.sql(selectAllTypes))
	if err != nil {
		return err
	}
	var k typeKey
	var id int32
	_, err = pgx.ForEachRow(rows, []any{&k.name, &k.version, &k.contentType, &id}, func() error {
		s.dictionary.addType(k, id)
		return nil
	})
	return err
}

// streamNames puts names to the ids of streams. Those of streams that do not
// exist stay empty.
func (s *Store) streamNames(ctx context.Context, q querier, names map[int64]string) error {
	missing := s.dictionary.nameStreams(names)
	if len(missing) == 0 {
		return nil
	}
	rows, err := q.Query(ctx, s.sql(selectNames), missing)
	if err != nil {
		return err
	}
	var id int64
	var name string
	_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		names[id] = name
		return nil
	})
	s.dictionary.addStreams(missing, names)
	return err
}
