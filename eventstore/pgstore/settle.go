package pgstore

import (
	"time"

	"github.com/jackc/pgx/v5"
)

// A plan was committed if all that it writes is there. Its last event alone
// would not do: a retry of it, by another process, may have come to lie at the
// same position.
const selectLanded = `
WITH landed_events AS (
    SELECT count(*) AS n, max(e.recorded_at) AS at
    FROM unnest($1::bigint[], $2::text[], $3::uuid[]) AS u(position, stream, id)
    JOIN {schema}.events e ON e.position = u.position AND e.id = u.id
    JOIN {schema}.streams s ON s.id = e.stream_id AND s.name = u.stream
), landed_receipts AS (
    SELECT count(*) AS n
    FROM unnest($4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::bytea[]) AS u(scope, key, fingerprint, answer, result)
    JOIN {schema}.receipts r USING (scope, key, fingerprint, answer, result)
)
SELECT e.n = coalesce(cardinality($3::uuid[]), 0) AND ($9::boolean OR r.n = coalesce(cardinality($5::text[]), 0)), e.at
FROM landed_events e, landed_receipts r`

// queueLanded sets landed to p if it was committed.
func (s *Store) queueLanded(b *pgx.Batch, p *plan, landed **plan) {
	if p.isEmpty() {
		return
	}
	streams := make([]string, len(p.events))
	// Nobody else can write an id that this process made, so receipts, which
	// may have been purged, need not prove anything.
	unmistakable := false
	for i, e := range p.events {
		streams[i] = e.Stream
		unmistakable = unmistakable || p.flags[i]&flagSuppliedID == 0
	}
	b.Queue(s.sql(selectLanded), p.positions, streams, p.ids,
		p.scopes, p.keys, p.fingerprints, p.answers, p.results, unmistakable,
	).QueryRow(func(row pgx.Row) error {
		var found bool
		var at *time.Time
		if err := row.Scan(&found, &at); err != nil || !found {
			return err
		}
		if at != nil {
			p.recordedAt(*at)
		}
		*landed = p
		return nil
	})
}

func (p *plan) recordedAt(t time.Time) {
	for i := range p.events {
		p.events[i].RecordedAt = t.UTC()
	}
}
