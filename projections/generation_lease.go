package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/operations"
)

// generationLease is the right to apply events to a generation, and where to go on.
type generationLease struct {
	lease.Lease
	catalog    *catalog
	generation generation
	checkpoint eventstore.Checkpoint
	// skips are the positions of events to leave out.
	skips map[int64]bool
	// keeps says what is kept of changes.
	keeps keptChanges
}

// errPaused is returned for a projection that an operator has paused.
var errPaused = errors.New("the projection is paused")

func (c *catalog) generationTable() lease.Table {
	return lease.Table{
		Schema: c.schema, Name: "{schema}.projection_generations g", Key: []string{"projection", "generation"}, Reentrant: true,
	}
}

func (g generation) key() []any { return []any{g.projection, g.number} }

// acquireWhere looks at whether the generation serves as well: another may have taken its place
// since the caller looked, perhaps while the statement waited for the one that did that. A lease on
// a generation that nobody reads would be renewed for ever. Once it is taken, a switch gives it
// another epoch.
//
// Beyond is for a process that has stood aside: until another has brought the rows that far it has
// nothing to do here.
const acquireWhere = `failed_at IS NULL AND built AND serving = $5 AND position >= $6
AND EXISTS (SELECT FROM {schema}.projections WHERE name = $1 AND desired = 'running')`

const skipsSQL = `
SELECT position FROM {schema}.projection_skips
WHERE projection = $1 AND generation = $2 AND position > $3`

// acquire returns the lease of a generation that serves, or of one that does not. The error is
// lease.ErrTaken also for one that is paused, has failed or is not built.
func (c *catalog) acquire(ctx context.Context, g generation, serving bool, owner string, ttl time.Duration, beyond int64, keeps keptChanges) (*generationLease, error) {
	l := &generationLease{catalog: c, generation: g, skips: make(map[int64]bool), keeps: keeps}
	var err error
	cp := &l.checkpoint
	images, kept := keeps.columns()
	var fed bool
	l.Lease, err = c.generationTable().Acquire(ctx, c.pool, g.key(), owner, ttl,
		lease.Clause{
			Set: `last_run_at = clock_timestamp(), unreadable = NULL, unreadable_at = NULL,
    changes = $7, changes_kept = $8::interval`,
			Where:     acquireWhere,
			Returning: "log_id, incarnation, position, events, digest, last_event_at, coalesce(changes_to = position, false)",
			Args:      []any{serving, beyond, images, kept},
		},
		&cp.Token.Log, &cp.Token.Incarnation, &cp.Token.Position, &cp.Events, &cp.Digest, &cp.LastEvent, &fed)
	if err != nil {
		return nil, fmt.Errorf("acquire the lease: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := c.pool.Query(ctx, c.sql(skipsSQL), g.projection, g.number, cp.Token.Position)
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
	if keeps.images != "" && !fed {
		if err := l.openFeed(ctx); err != nil {
			return nil, fmt.Errorf("begin to keep changes: %w", err)
		}
	}
	return l, nil
}

// belongsInView is whether the view is to show generation g instead of the one that it shows: of a
// higher version, once it has come as far (rows of another log it need not come as far as), or of a
// lower one if it is ahead and nobody has run the other for a minute, which is more than a restart
// takes.
var belongsInView = `(serving AND position >= target AND EXISTS (
    SELECT FROM {schema}.projections p
    JOIN {schema}.projection_generations live ON live.projection = p.name AND live.generation = p.live_generation
    WHERE p.name = g.projection
      AND (g.version > live.version AND (g.position >= live.position OR g.log_id <> live.log_id)
           OR g.version < live.version AND g.position > live.position AND ` + lease.Free + `
              AND live.failed_at IS NULL AND live.last_run_at < clock_timestamp() - interval '1 minute')))`

// renewReturning is whether the projection is to run, and what the view is to show.
var renewReturning = `(SELECT desired = 'running' FROM {schema}.projections p WHERE p.name = g.projection),
` + belongsInView

// move moves the checkpoint, if the lease is still the one that was given, the checkpoint still
// where it was and the projection not paused; else it ends the transaction. It also extends the
// lease.
func (l *generationLease) move(to eventstore.Checkpoint) statement {
	sql, args := l.Fence(lease.Clause{
		Set: `log_id = $6, incarnation = $7, position = $8, events = $9, digest = $10, last_event_at = $11,
    changes_to = CASE WHEN $12 THEN $8 ELSE changes_to END, trouble = NULL, trouble_at = NULL`,
		Where: `position = $5
AND EXISTS (SELECT FROM {schema}.projections WHERE name = $1 AND desired = 'running')`,
		Args: []any{
			l.checkpoint.Token.Position,
			to.Token.Log, to.Token.Incarnation, to.Token.Position, to.Events, to.Digest.Bytes(), to.LastEvent,
			l.keeps.images != "",
		},
	})
	return statement{sql, args}
}

// renew extends the lease. It returns lease.ErrLost, or errPaused if the projection was paused.
// Trouble that has not come back for longer than the pauses between tries is over.
func (l *generationLease) renew(ctx context.Context) (inView bool, err error) {
	failpoint.HitIn(ctx, failpoint.LeaseRenewing)
	running := true
	err = l.Renew(ctx, l.catalog.pool, lease.Clause{
		Set: `last_run_at = clock_timestamp(),
    trouble = CASE WHEN trouble_at > clock_timestamp() - interval '15 seconds' THEN trouble END`,
		Returning: renewReturning,
	}, &running, &inView)
	if err == nil && !running {
		err = errPaused
	}
	failpoint.Hit(failpoint.LeaseRenewed)
	return inView, err
}

// release gives the lease back, so that another process need not wait for its end.
func (l *generationLease) release(ctx context.Context) error {
	err := l.Release(ctx, l.catalog.pool, lease.Clause{})
	failpoint.Hit(failpoint.LeaseReleased)
	return err
}

// standAside gives the lease back, and leaves word of what this program cannot read.
func (l *generationLease) standAside(ctx context.Context, cause error) error {
	return l.Release(ctx, l.catalog.pool, lease.Clause{
		Set:  "unreadable = $4, unreadable_at = clock_timestamp(), trouble = NULL, trouble_at = NULL",
		Args: []any{operations.SanitizeText(cause.Error())},
	})
}

// recordTrouble leaves word of what keeps the projection from going on.
func (l *generationLease) recordTrouble(ctx context.Context, trouble error) error {
	return l.Update(ctx, l.catalog.pool, lease.Clause{
		Set:  `trouble = $4, trouble_at = clock_timestamp()`,
		Args: []any{operations.SanitizeText(trouble.Error())},
	})
}
