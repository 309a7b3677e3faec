package projections

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// pruneInterval is how often a process removes changes that are kept no longer, pruneAtOnce how many in a transaction.
const (
	pruneInterval = time.Minute
	pruneAtOnce   = 10_000
)

// pruneChangesSQL removes the oldest changes that are kept for long enough and that no subscription needs: it has them still
// to deliver, or to try again. What is left of a projection that was dropped is kept for the time of who says none.
const pruneChangesSQL = `
WITH kept AS (
    SELECT coalesce(max(g.changes_kept), $2::interval) AS kept FROM {schema}.projections p
    JOIN {schema}.projection_generations g ON g.projection = p.name AND g.generation = p.live_generation WHERE p.name = $1),
needed AS (
    SELECT min(least(
        (SELECT min(q.position) + 1 FROM {schema}.subscription_partitions q WHERE q.subscription = s.id),
        (SELECT min(r.position) FROM {schema}.subscription_parked r WHERE r.subscription = s.id))) AS number
    FROM {schema}.subscriptions s WHERE s.changes_of = $1 AND s.name IS NOT NULL)
DELETE FROM {schema}.projection_changes c USING kept, needed
WHERE c.projection = $1 AND c.at < clock_timestamp() - kept.kept AND (needed.number IS NULL OR c.number < needed.number)
AND c.number < $3 + (SELECT min(f.number) FROM {schema}.projection_changes f WHERE f.projection = $1)`

// feedsSQL has those of projections too that no program has any more, or that were dropped: their changes go as well.
const feedsSQL = `SELECT projection FROM {schema}.projection_feeds ORDER BY projection`

// pruneChanges removes changes that are kept no longer, of all feeds.
func (c *catalog) pruneChanges(ctx context.Context) error {
	rows, err := c.pool.Query(ctx, c.sql(feedsSQL))
	if err != nil {
		return err
	}
	feeds, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range feeds {
		for {
			tag, err := c.pool.Exec(ctx, c.sql(pruneChangesSQL), name, defaultChangesKept, pruneAtOnce)
			if err != nil {
				return err
			}
			if tag.RowsAffected() < pruneAtOnce {
				break
			}
		}
	}
	return nil
}
