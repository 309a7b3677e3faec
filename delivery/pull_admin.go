package delivery

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Nobody owns the feed of a subscription that is pulled: operators do by themselves what they want of its rows.

const (
	// Together with those of their keys that are not dead, which stay as they are until the transaction ends.
	lockWantedSQL = `
SELECT r.position, r.key, r.state FROM {schema}.subscription_parked r
WHERE r.subscription = $1 AND r.ordinal = 0 AND r.position = ANY (ARRAY(
    SELECT unnest($2::bigint[])
    UNION
    SELECT live.position
    FROM (SELECT DISTINCT w.key FROM {schema}.subscription_parked w WHERE w.subscription = $1 AND w.ordinal = 0 AND w.position = ANY ($2)) AS k
    CROSS JOIN LATERAL (
        SELECT l.position FROM {schema}.subscription_parked l
        WHERE l.subscription = $1 AND l.pulled AND l.key = k.key AND l.state <> 'dead' OFFSET 0) AS live))
ORDER BY r.position FOR UPDATE`

	redrivePulledSQL = `
UPDATE {schema}.subscription_parked
SET state = 'blocked', redrive = true, attempts = 0, charged = 0, class = NULL, error = NULL, first_failed_at = NULL, last_failed_at = NULL,
    dead_at = NULL, token = NULL
WHERE subscription = $1 AND ordinal = 0 AND position = ANY ($2)`

	// What is looked for above the cursor must be there.
	lowerCursorSQL = `
UPDATE {schema}.subscription_partitions SET position = least(position, $2::bigint - 1) WHERE subscription = $1 AND partition = 0`

	lockPulledSQL = `SELECT FROM {schema}.subscription_parked r WHERE r.subscription = $1 AND r.pulled ORDER BY r.position FOR UPDATE`

	// Who has one of a key frees the next.
	heldKeysSQL = `
SELECT DISTINCT d.key FROM {schema}.subscription_parked d
WHERE d.subscription = $1 AND d.pulled AND d.state = 'dead' AND NOT EXISTS (
    SELECT FROM {schema}.subscription_parked l
    WHERE l.subscription = $1 AND l.pulled AND l.key = d.key AND l.state <> 'dead' AND l.state = 'leased')`
)

// wantPulled does what an operator wants of rows, which must be in a state, in a transaction that has locked the feed, and returns
// how many there were.
func (r *records) wantPulled(ctx context.Context, tx pgx.Tx, s *found, w wish, positions []int64, in rowState) (n int, err error) {
	var mine, back []int64
	var keys []string
	has := make(map[string]bool)
	states := make(map[int64]pulledRow)
	rows, err := tx.Query(ctx, r.sql(lockWantedSQL), s.id, positions)
	if err != nil {
		return 0, err
	}
	var row pulledRow
	_, err = pgx.ForEachRow(rows, []any{&row.Position, &row.Key, &row.State}, func() error {
		states[row.Position] = row
		has[row.Key] = has[row.Key] || row.State == leased
		return nil
	})
	if err != nil {
		return 0, err
	}
	for position, row := range states {
		switch {
		case slices.Contains(positions, position) && row.State == in:
			mine, keys = append(mine, position), append(keys, row.Key)
		case row.State == ready || row.State == waiting:
			back = append(back, position)
		}
	}
	if len(mine) == 0 {
		return 0, nil
	}
	b := &pgx.Batch{}
	switch w {
	case wantDiscard:
		b.Queue(r.sql(ackSQL), s.id, mine)
	case wantRetry:
		b.Queue(r.sql(returnSQL), s.id, mine, 0)
	case wantRedrive:
		b.Queue(r.sql(redrivePulledSQL), s.id, mine)
		b.Queue(r.sql(lowerCursorSQL), s.id, slices.Min(mine))
		// They come before later ones of their key that nobody has yet.
		b.Queue(r.sql(returnSQL), s.id, back, 0)
	}
	// Who has one of a key frees the next.
	keys = slices.DeleteFunc(keys, func(key string) bool { return has[key] })
	slices.Sort(keys)
	b.Queue(r.sql(freeSQL), s.id, slices.Compact(keys))
	return len(mine), tx.SendBatch(ctx, b).Close()
}

// freeHeld lets be had what is behind dead rows of its key, in the transaction that says that those hold it no longer. Whoever is
// about to make a dead row has been waited for, or sees the new definition: see freeSQL.
func (r *records) freeHeld(ctx context.Context, tx pgx.Tx, id int64) error {
	if _, err := r.lockAll(ctx, tx, id); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, r.sql(lockPulledSQL), id); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, r.sql(heldKeysSQL), id)
	if err != nil {
		return err
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil {
		_, err = tx.Exec(ctx, r.sql(freeSQL), id, keys)
	}
	return err
}
