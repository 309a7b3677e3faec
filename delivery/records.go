package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/internal/pgsql"
)

// records are the tables of subscriptions, as processes that deliver use them.
//
// Locks are taken in the order subscription, partitions, parked rows, changes; rows of a kind in the order of
// their key. What a statement may have waited for is read by a later one, which has a later snapshot.
type records struct {
	pool   *pgxpool.Pool
	schema string
	app    string
}

// errLost says that a member, or a partition, is not the caller's any more.
var errLost = lease.ErrLost

const (
	// memberTTL is for how long a member is taken for alive after it has renewed.
	memberTTL = 4 * time.Second
	// changed is what the channel of the log says, like a lease that was given back, when subscription_changes
	// was raised: see pgstore's OnLeaseReleased.
	changed = "$subscriptions"
)

// partitionKey names a partition.
type partitionKey struct {
	Subscription int64
	Partition    int
}

func (k partitionKey) String() string { return fmt.Sprintf("%d/%d", k.Subscription, k.Partition) }

// owned names a partition, and by which right its owner has it.
type owned struct {
	partitionKey
	Epoch int64
}

func (r *records) sql(text string) string { return pgsql.In(r.schema, text) }

const (
	// settings bound how long statements wait for each other and for who freezes. JIT costs the statements of
	// this package a hundred times what they take. Tables that were empty when they were analysed would be
	// read from end to end.
	settings = `
SELECT set_config('lock_timeout', '2s', true), set_config('idle_in_transaction_session_timeout', '10s', true),
       set_config('statement_timeout', '30s', true), set_config('jit', 'off', true), set_config('enable_seqscan', 'off', true)`
	// A commit that gives epochs or ids must not be lost with the server: they would be given twice. One that
	// moves cursors may be: what it passed comes again.
	durableSQL = `SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') <> 'remote_apply'`
	lazySQL    = settings + `, set_config('synchronous_commit', 'off', true)`

	raiseSQL = `WITH raised AS (UPDATE {schema}.subscription_changes SET n = n + 1) SELECT pg_notify($1, $2)`
)

// atHome is the condition that this database is where the log in $1 is at incarnation $2: not one that was restored
// or copied since, and not adopted yet. A log that is kept elsewhere is not looked at.
var atHome = `NOT EXISTS (
    SELECT FROM {schema}.log_incarnations i
    WHERE i.log_id = $1 AND (i.n > $2 OR i.n = $2 AND
          (i.system_identifier, i.timeline, i.database_oid) <> (` + pgsql.Origin + `)))`

// alive is the condition that member m has renewed in time. One that expires later than any may wrote that before the
// clock of the server was set back.
const alive = `m.expires_at BETWEEN now() AND now() + interval '1 minute'`

// inTx runs f in a transaction that has settings and commits durably.
func (r *records) inTx(ctx context.Context, f func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, r.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		b.Queue(settings)
		b.Queue(durableSQL)
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		return f(tx)
	})
}

// raise tells all members to look again, as the last statement of a transaction.
func (r *records) raise(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, r.sql(raiseSQL), pgsql.Channel(r.schema), lease.Released+changed)
	return err
}

func (r *records) queueRaise(b *pgx.Batch) {
	b.Queue(r.sql(raiseSQL), pgsql.Channel(r.schema), lease.Released+changed)
}

// columns turns owned partitions into arrays.
func columns(all []owned) (subscriptions []int64, partitions []int32, epochs []int64) {
	for _, o := range all {
		subscriptions = append(subscriptions, o.Subscription)
		partitions = append(partitions, int32(o.Partition))
		epochs = append(epochs, o.Epoch)
	}
	return subscriptions, partitions, epochs
}

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
