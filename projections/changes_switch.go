package projections

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/internal/pgsql"
)

const (
	openFeedSQL = `INSERT INTO {schema}.projection_feeds (projection) VALUES ($1) ON CONFLICT DO NOTHING`

	forgetAheadSQL = `DELETE FROM {schema}.projection_changes_ahead WHERE projection = $1 AND generation = $2`

	// Rows of which nobody has heard yet, and which are none, are no replacement.
	beginFeedSQL = `
WITH rows AS (
    SELECT g.position, g.version, g.changes_to
    FROM {schema}.projections p JOIN {schema}.projection_generations g ON g.projection = p.name AND g.generation = p.live_generation
    WHERE p.name = $1 AND g.generation = $2),
feed AS (
    UPDATE {schema}.projection_feeds f SET last = f.last + 1, last_at = greatest(f.last_at, clock_timestamp())
    FROM rows WHERE f.projection = $1 AND (f.last > 0 OR rows.position > 0) RETURNING f.last, f.last_at)
INSERT INTO {schema}.projection_changes (projection, number, position, at, id, kind, new)
SELECT $1, feed.last, rows.position, feed.last_at, gen_random_uuid(), 'replace', json_strip_nulls(json_build_object(
    'generation', $2::integer, 'version', rows.version, 'missing_from', rows.changes_to + 1, 'missing_to', rows.position + 0 * rows.changes_to))
FROM rows, feed`
)

// openFeed begins to keep changes behind the checkpoint of a generation up to which they are not kept: it keeps them for the
// first time, or a program was at work that does not.
func (l *generationLease) openFeed(ctx context.Context) error {
	c, g := l.catalog, l.generation
	return c.inTx(ctx, func(tx pgx.Tx) error {
		if err := l.Update(ctx, tx, lease.Clause{Set: "changes_after = position"}); err != nil {
			return err
		}
		var b pgx.Batch
		b.Queue(c.sql(openFeedSQL), g.projection)
		b.Queue(c.sql(forgetAheadSQL), g.projection, g.number)
		b.Queue(c.sql(beginFeedSQL), g.projection, g.number)
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		return l.Update(ctx, tx, lease.Clause{Set: "changes_to = position"})
	})
}

const (
	// It was built in one go, or by a program that keeps no changes.
	keptFromHereSQL = `
UPDATE {schema}.projection_generations SET changes_after = position, changes_to = position
WHERE projection = $1 AND generation = $2 AND changes_to IS DISTINCT FROM position`

	switchFeedSQL = `
WITH place AS (
    SELECT n.version, n.changes_after, same.log, CASE WHEN same.log THEN o.position ELSE n.position END AS position
    FROM {schema}.projection_generations o, {schema}.projection_generations n,
         LATERAL (SELECT (o.log_id, o.incarnation) = (n.log_id, n.incarnation) AS log) AS same
    WHERE o.projection = $1 AND o.generation = $2 AND n.projection = $1 AND n.generation = $3),
ahead AS (
    DELETE FROM {schema}.projection_changes_ahead WHERE projection = $1 AND generation = $3
    RETURNING position, ordinal, id, kind, key, old, new),
entry AS (
    SELECT p.position, 0::bigint AS ordinal, gen_random_uuid() AS id, 'replace' AS kind, NULL::json AS key, NULL::json AS old,
           json_strip_nulls(json_build_object('generation', $3::integer, 'version', p.version,
               'missing_from', CASE WHEN p.changes_after > p.position THEN p.position + 1 END,
               'missing_to', CASE WHEN p.changes_after > p.position THEN p.changes_after END)) AS new
    FROM place p
    UNION ALL
    SELECT a.position, a.ordinal, a.id, a.kind, a.key, a.old, a.new FROM ahead a, place p WHERE p.log AND a.position > p.position),
feed AS (
    UPDATE {schema}.projection_feeds SET last = last + (SELECT count(*) FROM entry), last_at = greatest(last_at, clock_timestamp())
    WHERE projection = $1 RETURNING last - (SELECT count(*) FROM entry) AS before, last_at),
fed AS (
    INSERT INTO {schema}.projection_changes (projection, number, position, at, id, kind, key, old, new)
    SELECT $1, feed.before + row_number() OVER (ORDER BY e.position, e.ordinal), e.position, feed.last_at, e.id, e.kind, e.key, e.old, e.new
    FROM entry e, feed)
SELECT pg_notify($4, $5) FROM feed`
)

// switchFeed lets the feed, if there is one, go on with the changes of another generation, which the view shows from now on:
// it says where, and has what that one is ahead. The locks on both checkpoints are held.
func (c *catalog) switchFeed(ctx context.Context, tx pgx.Tx, projection string, from, to int) error {
	var b pgx.Batch
	b.Queue(c.sql(keptFromHereSQL), projection, to)
	b.Queue(c.sql(switchFeedSQL), projection, from, to, pgsql.Channel(c.schema), lease.Released+changesOf(projection))
	return tx.SendBatch(ctx, &b).Close()
}

const feedUpToSQL = `
SELECT least($2, g.position) FROM {schema}.projections p
JOIN {schema}.projection_generations g ON g.projection = p.name AND g.generation = p.live_generation
WHERE p.name = $1 AND g.changes IS NOT NULL AND g.log_id = $3 AND g.incarnation = $4`

// buildUpTo returns up to which place in the log rows are built in one go, which makes no changes: of a projection that keeps
// them no further than the rows in view are, to go on from there event by event.
func (k keptChanges) buildUpTo(ctx context.Context, c *catalog, head eventstore.Token) (eventstore.Token, error) {
	if k.images == "" {
		return head, nil
	}
	err := c.pool.QueryRow(ctx, c.sql(feedUpToSQL), k.projection, head.Position, head.Log, head.Incarnation).Scan(&head.Position)
	if isNoRows(err) {
		err = nil
	}
	return head, err
}
