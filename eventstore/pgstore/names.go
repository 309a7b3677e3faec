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

// streamNames returns the names of streams by id.
func (s *Store) streamNames(ctx context.Context, q querier, ids map[int64]string) error {
	var missing []int64
	for id := range ids {
		if name, ok := s.dictionary.streams.Get(id); ok {
			ids[id] = name
		} else {
			missing = append(missing, id)
		}
	}
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
		s.dictionary.streams.Add(id, name)
		ids[id] = name
		return nil
	})
	return err
}
