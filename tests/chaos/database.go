package chaos

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/tests/chaos/work"
)

// apparatus is what the harness puts into the database to break things from
// inside. The function shadows that of PostgreSQL for whoever does not name its
// schema, as the search path says; nobody of the product does.
const apparatus = `
CREATE SCHEMA chaos;
CREATE TABLE chaos.knobs (step interval NOT NULL, rollbacks double precision NOT NULL, mended boolean NOT NULL);
INSERT INTO chaos.knobs VALUES ('0', 0, false);
CREATE SEQUENCE chaos.rolled_back;

CREATE FUNCTION chaos.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.clock_timestamp() + step FROM chaos.knobs';

CREATE FUNCTION chaos.roll_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < (SELECT rollbacks FROM chaos.knobs) THEN
        PERFORM nextval('chaos.rolled_back'); -- is not rolled back
        RAISE EXCEPTION 'rolled back on purpose' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER roll_back AFTER INSERT ON recount.events FOR EACH STATEMENT EXECUTE FUNCTION chaos.roll_back();
ALTER DATABASE ` + pgembed.Database + ` SET search_path = chaos, pg_catalog;
`

// prepareDatabase makes the product's tables and the apparatus.
func (r *run) prepareDatabase(ctx context.Context) error {
	if _, err := migrations.Up(ctx, r.cluster.dsn(), migrations.DefaultSchema); err != nil {
		return err
	}
	return r.exec(ctx, apparatus+work.SideTable+work.EffectTable)
}

// exec runs SQL on a connection of its own.
func (r *run) exec(ctx context.Context, sql string, args ...any) error {
	return r.onDatabase(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql, args...)
		return err
	})
}

func (r *run) onDatabase(ctx context.Context, use func(*pgx.Conn) error) error {
	return r.cluster.connect(ctx, use)
}

// connect hands a connection out.
func (c *cluster) connect(ctx context.Context, use func(*pgx.Conn) error) error {
	config, err := pgx.ParseConfig(c.dsn())
	if err != nil {
		return err
	}
	config.RuntimeParams["application_name"] = harnessName
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return use(conn)
}

// harnessName is what the harness calls itself in the database.
const harnessName = "chaos"

// database breaks PostgreSQL.
func (j *injector) database(ctx context.Context, f Fault) error {
	c := j.run.cluster
	switch f.Kind {
	case KillBackend:
		return j.killBackend(ctx, f.Hit)
	case KillPostmaster:
		j.struck(f.Kind)
		return c.kill(ctx)
	case FillData, FillWAL:
		return j.fill(ctx, f)
	case Rollbacks:
		if err := j.run.persist(ctx, `UPDATE chaos.knobs SET rollbacks = 0.05`); err != nil {
			return err
		}
		j.struck(f.Kind)
		wait(ctx, f.For)
		return j.run.persist(context.WithoutCancel(ctx), `UPDATE chaos.knobs SET rollbacks = 0`)
	case StepClock:
		if err := j.run.persist(ctx, `UPDATE chaos.knobs SET step = $1`, f.For); err != nil {
			return err
		}
		j.struck(f.Kind)
		return nil
	default:
		return fmt.Errorf("there is no fault %q", f.Kind)
	}
}

// persist is exec that tries again: something else may be broken just now. A
// PostgreSQL that has given up is started again.
func (r *run) persist(ctx context.Context, sql string, args ...any) (err error) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		if err = r.exec(ctx, sql, args...); err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		if err := r.cluster.revive(ctx); err != nil {
			return err
		}
		wait(ctx, 50*time.Millisecond)
	}
}

// maxBackends is how many backends there are to choose from.
const maxBackends = 8

// killBackend ends the server process of some client, preferably one that works.
func (j *injector) killBackend(ctx context.Context, which int) error {
	var pids []int32
	err := j.run.onDatabase(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT pid FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY state = 'active' DESC, pid LIMIT $1`, maxBackends)
		if err != nil {
			return err
		}
		pids, err = pgx.CollectRows(rows, pgx.RowTo[int32])
		return err
	})
	if err != nil || len(pids) == 0 {
		return errNothing // PostgreSQL recovers just now
	}
	if err := syscall.Kill(int(pids[which%len(pids)]), syscall.SIGKILL); err != nil {
		return errNothing
	}
	j.struck(KillBackend)
	return nil
}

// fill leaves no room on a disk for a while, and waits until PostgreSQL answers
// again: it may give up while it recovers, when there is room already.
func (j *injector) fill(ctx context.Context, f Fault) error {
	c := j.run.cluster
	disk, ok := c.disks[f.Kind]
	if !ok {
		return errNothing
	}
	if err := disk.fill(); err != nil {
		return err
	}
	j.struck(f.Kind)
	wait(ctx, f.For)
	if err := disk.resize(disk.size); err != nil {
		return err
	}
	return j.run.persist(context.WithoutCancel(ctx), `SELECT 1`)
}

// head returns the last position of the log, 0 if nobody can say now.
func (c *cluster) head(ctx context.Context) (position int64) {
	err := c.connect(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT coalesce(max(position), 0) FROM recount.events`).Scan(&position)
	})
	if err != nil {
		return 0
	}
	return position
}

func (r *run) head(ctx context.Context) int64 { return r.cluster.head(ctx) }
