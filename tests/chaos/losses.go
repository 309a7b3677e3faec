package chaos

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/tests/pgproxy"
)

// Loss is a phase that loses acknowledged events on purpose: by the restore of
// an older backup, or a failover to a standby that lags.
type Loss struct {
	Name string `json:"name"`
	// LastCommon is the last position that both incarnations of the log have.
	LastCommon int64 `json:"last_common"`
	// Lost is how many acknowledged events are gone, Refused how many appends were
	// refused before somebody adopted the log.
	Lost    int `json:"lost"`
	Refused int `json:"refused"`
	// Told is how many readers were told that the log has changed.
	Told int `json:"told"`
}

// losing is how long writers write what will be lost, and then to a log that
// nobody has adopted.
const losing = 1500 * time.Millisecond

// losses runs the phases that lose events.
func (r *run) losses(ctx context.Context) error {
	if r.config.SkipLosses {
		return nil
	}
	if err := r.lose(ctx, "restore of a backup", "restored", r.restore); err != nil {
		return fmt.Errorf("restore of a backup: %w", err)
	}
	if err := r.lose(ctx, "failover to a lagging standby", "standby", r.failOver); err != nil {
		return fmt.Errorf("failover: %w", err)
	}
	return nil
}

// restore takes a backup, lets everybody go on, and starts the backup.
func (r *run) restore(ctx context.Context, dir string, proceed func() error) (*cluster, error) {
	// Without archived WAL there is no more than what is in the backup.
	made, err := r.cluster.backup(ctx, dir, r.cluster.dsn(), "recovery.signal", map[string]string{
		"restore_command": "false", "recovery_target": "immediate", "recovery_target_action": "promote",
	})
	if err != nil {
		return nil, err
	}
	if err := proceed(); err != nil {
		return nil, err
	}
	if err := r.cluster.halt(); err != nil {
		return nil, err
	}
	return made, made.start(ctx)
}

// failOver makes a standby, cuts it off, lets everybody go on, kills the primary
// and promotes the standby.
func (r *run) failOver(ctx context.Context, dir string, proceed func() error) (_ *cluster, err error) {
	replication, err := pgproxy.Start(r.cluster.dsn(), func() pgproxy.Fault { return pgproxy.None })
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, replication.Close()) }()
	// pg_hba.conf lets the local user in by the socket, where the proxy goes.
	made, err := r.cluster.backup(ctx, dir, r.cluster.dsn(), "standby.signal", map[string]string{"primary_conninfo": replication.DSN()})
	if err != nil {
		return nil, err
	}
	if err := made.start(ctx); err != nil {
		return nil, err
	}
	if err := r.awaitStandby(ctx, made); err != nil {
		return nil, errors.Join(err, made.close())
	}
	if err := replication.Close(); err != nil {
		return nil, errors.Join(err, made.close())
	}
	if err := proceed(); err != nil {
		return nil, errors.Join(err, made.close())
	}
	if err := r.cluster.halt(); err != nil {
		return nil, errors.Join(err, made.close())
	}
	return made, made.connect(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `SELECT pg_promote()`)
		return err
	})
}

// awaitStandby waits until a standby follows.
func (r *run) awaitStandby(ctx context.Context, standby *cluster) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for want := r.head(ctx); standby.head(ctx) <= want; wait(ctx, 20*time.Millisecond) {
		if ctx.Err() != nil {
			return errors.New("the standby does not follow")
		}
	}
	return nil
}

// lose lets workers write and read, takes the database away from them, puts an
// older copy in its place, and checks what they are told.
func (r *run) lose(ctx context.Context, name, folder string, replace func(context.Context, string, func() error) (*cluster, error)) error {
	r.note("%s", name)
	s, err := r.startSurvivors(ctx, folder)
	if err != nil {
		return err
	}
	old := r.cluster
	made, err := replace(ctx, filepath.Join(r.dir, folder, "postgres"), func() error {
		return errors.Join(s.writeOn(ctx, losing), s.standBack())
	})
	if err != nil {
		return err
	}
	r.cluster = made
	r.copies = append(r.copies, old)
	if err := made.promoted(ctx); err != nil {
		return err
	}
	for _, g := range s.gates {
		if err := g.proxy.Redirect(made.dsn()); err != nil {
			return err
		}
		g.proxy.Cut()
	}
	loss := Loss{Name: name, LastCommon: r.head(ctx)}
	began := logcheck.Now()
	wait(ctx, losing)
	s.awaitRefused(ctx, began)
	var found []logcheck.Violation
	if head := r.head(ctx); head != loss.LastCommon {
		found = append(found, logcheck.Violation{Rule: RuleAdopt, Text: fmt.Sprintf("the log grew from %d to %d before it was adopted", loss.LastCommon, head)})
	}
	adopted := logcheck.Now()
	if out, err := exec.CommandContext(ctx, r.config.Recount, "db", "adopt", "--yes", "--database", made.dsn()).CombinedOutput(); err != nil {
		return fmt.Errorf("recount db adopt: %w\n%s", err, out)
	}
	// As the command says: what has run on the database must be started again.
	s.restart(roleWriter)
	if p := s.processes["deliverer-1"]; p != nil {
		p.kill("") // the other one finds out by itself
	}
	if err := s.processes["projector-1"].resume(); err != nil {
		return err
	}
	if err := s.reach(ctx, loss.LastCommon); err != nil {
		found = append(found, logcheck.Violation{Rule: logcheck.RuleConverged, Text: name + ": " + err.Error()})
	}
	found = append(found, s.stop()...)
	return r.checkLoss(ctx, s, &loss, began, adopted, found)
}

// RuleAdopt is violated by appends to a log that nobody has adopted.
const RuleAdopt logcheck.Rule = "a restored log takes nothing before it is adopted"

// RuleTold is violated by readers that go on with another log as if it were the
// same.
const RuleTold logcheck.Rule = "readers are told of lost events"
