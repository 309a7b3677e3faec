package snapshots

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Info is what is known of a snapshot without its state.
type Info struct {
	Decider       string `json:"decider"`
	Stream        string `json:"stream"`
	SchemaVersion int    `json:"schema_version"`
	// Version, Position, EventID and RecordedAt are those of the last event in it.
	Version    int64     `json:"version"`
	Position   int64     `json:"position"`
	EventID    uuid.UUID `json:"event_id"`
	RecordedAt time.Time `json:"recorded_at"`
	TakenAt    time.Time `json:"taken_at"`
	// Bytes is the size of its state.
	Bytes int64 `json:"bytes"`
}

// Query says which snapshots to list. The zero value is all of them.
type Query struct {
	// Decider and Stream are the ones to list, whole. Default: any.
	Decider, Stream string
	// Limit is how many to list at most. Default: all.
	Limit int
}

const listSQL = `
SELECT decider, stream, schema_version, version, position, event_id, recorded_at, taken_at, octet_length(state)::bigint
FROM {table}
WHERE ($1 = '' OR decider = $1) AND ($2 = '' OR stream = $2)
ORDER BY decider, stream
LIMIT CASE WHEN $3 > 0 THEN $3::bigint END`

// List returns the snapshots that q picks and that views show, by decider and stream. If there is
// no table the error is ErrNoTable.
func (s *Store) List(ctx context.Context, q Query) ([]Info, error) {
	tables, err := s.allTables(ctx)
	if err != nil {
		return nil, s.describe("list snapshots", err)
	}
	own := make(map[string]bool)
	for _, t := range tables {
		own[t.projection] = true
	}
	all := []Info{}
	for _, t := range tables {
		if !t.live {
			continue
		}
		rows, err := s.pool.Query(ctx, in(s.quoted(t.name), listSQL), q.Decider, q.Stream, q.Limit)
		if err != nil {
			return nil, s.describe("list snapshots", err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Info])
		if err != nil {
			return nil, s.describe("list snapshots", err)
		}
		for _, i := range found {
			// What was carried over from the one table for all is not read there any more.
			if t.projection != legacyName || !own[NameOf(i.Decider)] {
				i.RecordedAt, i.TakenAt = i.RecordedAt.UTC(), i.TakenAt.UTC()
				all = append(all, i)
			}
		}
	}
	slices.SortFunc(all, func(a, b Info) int {
		return cmp.Or(strings.Compare(a.Decider, b.Decider), strings.Compare(a.Stream, b.Stream))
	})
	if q.Limit > 0 && len(all) > q.Limit {
		all = all[:q.Limit]
	}
	return all, nil
}
