package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/failpoint"
)

// lease is the right to apply events to a generation, and where to go on. Only the transaction that
// writes finds out whether it still holds.
type lease struct {
	catalog    *catalog
	generation generation
	owner      string
	ttl        time.Duration
	epoch      int64
	checkpoint checkpoint
	// skips are the positions of events to leave out.
	skips map[int64]bool
}

// errStandby is returned when there is nothing to do now: another process has the lease, or the
// projection is paused or has failed.
var errStandby = errors.New("the projection is not this process's to run now")

// maxLeaseTTL bounds what Config.LeaseTTL may be.
const maxLeaseTTL = time.Minute

// leaseIsFree says that nobody has a lease, or that it has expired. One that expires later than any
// may was written before the server's clock was set back: its owner may be gone, and would be waited
// for until the clock is there again. The epoch keeps an owner that is not gone from writing.
const leaseIsFree = `(owner IS NULL
       OR lease_expires_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 minute')`

// acquireSQL takes a lease that is free, has expired or is of the same owner, which makes it safe
// to begin again after a write whose outcome is unknown: a write of before is either done by now or
// finds another epoch.
//
// Whether the generation serves is looked at here as well: another may have taken its place since the
// caller looked, perhaps while this statement waited for the one that did that. A lease on a generation
// that nobody reads would be renewed for ever. Once it is taken, a switch gives it another epoch.
const acquireSQL = `
UPDATE {schema}.projection_generations g
SET owner = $3, epoch = epoch + 1, lease_expires_at = clock_timestamp() + $4::interval
WHERE projection = $1 AND generation = $2 AND failed_at IS NULL AND built AND serving = $5
  AND (owner = $3 OR ` + leaseIsFree + `)
  AND EXISTS (SELECT FROM {schema}.projections WHERE name = $1 AND desired = 'running')
RETURNING epoch, log_id, incarnation, position, events, digest, last_event_at`

const skipsSQL = `
SELECT position FROM {schema}.projection_skips
WHERE projection = $1 AND generation = $2 AND position > $3`

// acquire returns the lease of a generation that serves, or of one that does not, or errStandby.
func (c *catalog) acquire(ctx context.Context, g generation, serving bool, owner string, ttl time.Duration) (*lease, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	l := &lease{catalog: c, generation: g, owner: owner, ttl: ttl, skips: make(map[int64]bool)}
	var digest []byte
	cp := &l.checkpoint
	err := c.pool.QueryRow(ctx, c.sql(acquireSQL), g.projection, g.number, owner, ttl, serving).Scan(
		&l.epoch, &cp.token.Log, &cp.token.Incarnation, &cp.token.Position, &cp.events, &digest, &cp.lastEvent)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errStandby
	}
	if err != nil {
		return nil, fmt.Errorf("acquire the lease: %w", err)
	}
	if cp.digest, err = digestOf(digest); err != nil {
		return nil, err
	}
	rows, err := c.pool.Query(ctx, c.sql(skipsSQL), g.projection, g.number, cp.token.Position)
	if err != nil {
		return nil, fmt.Errorf("read what to skip: %w", err)
	}
	skips, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("read what to skip: %w", err)
	}
	for _, position := range skips {
		l.skips[position] = true
	}
	failpoint.Hit(failpoint.LeaseAcquired)
	return l, nil
}

// renewSQL extends a lease that was not extended by a checkpoint of late, and looks whether it is
// still to be used. Trouble that has not come back for longer than the pauses between tries is over.
const renewSQL = `
WITH renewed AS (
    UPDATE {schema}.projection_generations
    SET lease_expires_at = clock_timestamp() + $4::interval,
        trouble = CASE WHEN trouble_at > clock_timestamp() - interval '15 seconds' THEN trouble END
    WHERE projection = $1 AND generation = $2 AND epoch = $3
      AND lease_expires_at NOT BETWEEN clock_timestamp() + $4::interval * 0.75 AND clock_timestamp() + $4::interval
)
SELECT g.epoch = $3 AND p.desired = 'running',
       g.serving AND g.version > live.version AND g.position >= g.target AND (g.position >= live.position OR g.log_id <> live.log_id)
FROM {schema}.projection_generations g
JOIN {schema}.projections p ON p.name = g.projection
JOIN {schema}.projection_generations live ON live.projection = p.name AND live.generation = p.live_generation
WHERE g.projection = $1 AND g.generation = $2`

// renew extends the lease. It returns errStandby if the lease is lost or the projection paused.
// CaughtUp says that the generation has caught up with the one that is shown.
func (l *lease) renew(ctx context.Context) (caughtUp bool, err error) {
	failpoint.Hit(failpoint.LeaseRenewing)
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	var mine bool
	err = l.catalog.pool.QueryRow(ctx, l.catalog.sql(renewSQL),
		l.generation.projection, l.generation.number, l.epoch, l.ttl).Scan(&mine, &caughtUp)
	if err == nil && !mine || errors.Is(err, pgx.ErrNoRows) { // gone with its records
		err = errStandby
	}
	failpoint.Hit(failpoint.LeaseRenewed)
	return caughtUp, err
}

const releaseSQL = `
UPDATE {schema}.projection_generations SET owner = NULL, lease_expires_at = NULL
WHERE projection = $1 AND generation = $2 AND epoch = $3`

// release gives the lease back, so that another process need not wait for its end.
func (l *lease) release(ctx context.Context) error {
	_, err := l.catalog.pool.Exec(ctx, l.catalog.sql(releaseSQL), l.generation.projection, l.generation.number, l.epoch)
	failpoint.Hit(failpoint.LeaseReleased)
	return err
}

const troubleSQL = `
UPDATE {schema}.projection_generations SET trouble = $4, trouble_at = clock_timestamp()
WHERE projection = $1 AND generation = $2 AND epoch = $3`

// note leaves word of what keeps the projection from going on.
func (l *lease) note(ctx context.Context, trouble error) error {
	_, err := l.catalog.pool.Exec(ctx, l.catalog.sql(troubleSQL),
		l.generation.projection, l.generation.number, l.epoch, storable(trouble.Error()))
	return err
}
