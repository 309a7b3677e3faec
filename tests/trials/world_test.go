package trials

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/tests/mutants"
)

// world is what a scenario happens in.
type world struct {
	*testing.T
	db       *pgtest.DB
	recorder *logcheck.Recorder
	mu       sync.Mutex
	broken   []logcheck.Violation
	// rule is the one that is broken if this program is the mutant of the scenario, which mutant says.
	rule   logcheck.Rule
	mutant bool
	began  time.Time
}

func newWorld(t *testing.T, m mutants.Mutant) *world {
	return &world{T: t, db: pgtest.New(t), recorder: new(logcheck.Recorder), rule: logcheck.Rule(m.Rule), mutant: os.Getenv(envMutant) == m.Name, began: time.Now()}
}

// caught takes down what rules were broken, and reports whether that of the trial is among them.
func (w *world) caught(broken ...logcheck.Violation) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = append(w.broken, broken...)
	if !slices.ContainsFunc(broken, func(v logcheck.Violation) bool { return v.Rule == w.rule }) {
		return false
	}
	fmt.Printf("%s%s\t%d\t%s\n", caughtPrefix, w.Name(), time.Since(w.began).Milliseconds(), w.rule)
	return true
}

// want takes down that the trial's rule was broken, unless it was kept.
func (w *world) want(kept bool, format string, args ...any) {
	w.Helper()
	if !kept {
		w.caught(logcheck.Violation{Rule: w.rule, Text: fmt.Sprintf(format, args...)})
	}
}

func historyPath() string { return os.Getenv(envHistory) }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	_, err := w.db.Pool.Exec(w.Context(), sql, args...)
	w.must(err)
}

// withoutKeys takes unique keys away, behind which faults could hide: the product is to be right
// without them. It does need that of streams by name.
func (w *world) withoutKeys() {
	w.Helper()
	w.exec(`
ALTER TABLE recount.events DROP CONSTRAINT events_pkey, DROP CONSTRAINT events_stream_version;
DROP INDEX recount.events_stream_supplied_id;
ALTER TABLE recount.receipts DROP CONSTRAINT receipts_pkey;
CREATE INDEX ON recount.events (position);
CREATE INDEX ON recount.events (stream_id, version);
CREATE INDEX ON recount.events (stream_id, id);
CREATE INDEX ON recount.receipts (scope, key)`)
}

// pool returns connections of its own, as another process has them.
func (w *world) pool(dsn string, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	w.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	w.must(err)
	for _, f := range change {
		f(config)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	w.must(err)
	w.Cleanup(pool.Close)
	return pool
}

// open opens the log as another process does.
func (w *world) open(change ...func(*pgstore.Config)) *pgstore.Store {
	w.Helper()
	c := pgstore.Config{Pool: w.pool(w.db.DSN), PollInterval: 5 * time.Millisecond}
	for _, f := range change {
		f(&c)
	}
	s, err := pgstore.Open(w.Context(), c)
	w.must(err)
	w.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		w.must(s.Close(ctx))
	})
	return s
}

// happened is an append of n events without ids, known by what they say.
func happened(stream string, first, n int) eventstore.StreamAppend {
	a := eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any}
	for i := range n {
		a.Events = append(a.Events, eventstore.Event{Type: "Happened", Data: fmt.Appendf(nil, `{"n":%d}`, first+i)})
	}
	return a
}

// byContent identifies events by what they say.
func byContent(e *eventstore.RecordedEvent) uuid.UUID { return contentID(e.Data) }

func contentID(data []byte) uuid.UUID {
	sum := sha256.Sum256(data)
	return uuid.UUID(sum[:16])
}

// begin records that an append is about to be sent.
func begin(r *logcheck.Recorder, client string, a eventstore.StreamAppend, receipt *eventstore.Receipt) logcheck.Pending {
	record := logcheck.AppendOf(client, a, eventstore.AppendOptions{Receipt: receipt})
	if len(record.IDs) == 0 {
		for _, e := range a.Events {
			record.IDs = append(record.IDs, contentID(e.Data))
		}
	}
	return r.Begin(record)
}

// append appends and records it. The answer in a receipt is an answer.
func (w *world) append(s *pgstore.Store, client string, a eventstore.StreamAppend, receipt *eventstore.Receipt) (eventstore.Appended, error) {
	p := begin(w.recorder, client, a, receipt)
	done, err := s.Append(w.Context(), a, eventstore.AppendOptions{Receipt: receipt})
	var known *eventstore.ReceiptKnownError
	if errors.As(err, &known) {
		done, err = known.Stored.Appended[0], nil
	}
	p.Answer(done, err)
	return done, err
}

// mustAppend appends what has to be accepted.
func (w *world) mustAppend(s *pgstore.Store, a eventstore.StreamAppend) eventstore.Appended {
	w.Helper()
	done, err := w.append(s, "client", a, nil)
	w.must(err)
	return done
}

// log reads what is stored. Identify may be nil.
func (w *world) log(identify func(*eventstore.RecordedEvent) uuid.UUID) *logcheck.Log {
	w.Helper()
	l, err := pglog.Read(w.Context(), w.db.Pool, w.db.Schema, identify)
	w.must(err)
	return l
}

// judge checks what was recorded against what is stored.
func (w *world) judge(identify func(*eventstore.RecordedEvent) uuid.UUID) (caught bool) {
	w.Helper()
	h := w.recorder.History()
	return w.caught(logcheck.Check(&h, w.log(identify), logcheck.Options{})...)
}

// eventually waits until ok, and reports whether it came in time.
func eventually(ctx context.Context, within time.Duration, ok func() bool) bool {
	deadline, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); !ok(); {
		select {
		case <-tick.C:
		case <-deadline.Done():
			return ok()
		}
	}
	return true
}

// waiting reports whether so many sessions wait for a lock.
func (w *world) waiting(n int) func() bool {
	return func() bool {
		var there int
		w.must(w.db.Pool.QueryRow(w.Context(),
			`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&there))
		return there >= n
	}
}

// locked calls f while the log is locked by somebody else, and lets go when f is done.
func (w *world) locked(f func()) {
	w.Helper()
	tx, err := w.db.Pool.Begin(w.Context())
	w.must(err)
	_, err = tx.Exec(w.Context(), `SELECT only_row FROM recount.log_lock FOR UPDATE`)
	w.must(err)
	f()
	w.must(tx.Rollback(w.Context()))
}

// What a process that a scenario starts is told.
const (
	envRole    = "RECOUNT_TRIAL_ROLE"
	envDSN     = "RECOUNT_TRIAL_DATABASE"
	envHistory = "RECOUNT_TRIAL_HISTORY"
)

// roles are what such a process can be. None is to end by itself.
var roles = map[string]func(ctx context.Context, pool *pgxpool.Pool, s *pgstore.Store) error{
	"appender": runAppender, "receiver": runReceiver, "projector": runProjector,
}

// runRole is the whole of such a process.
func runRole(ctx context.Context, role, dsn string) error {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return err
	}
	defer pool.Close()
	s, err := pgstore.Open(ctx, pgstore.Config{Pool: pool})
	if err != nil {
		return err
	}
	return errors.Join(roles[role](ctx, pool, s), errors.New("nobody killed this process"), s.Close(ctx))
}

// spawn starts this program as another process, with failpoints of its own.
func (w *world) spawn(role, points string, env ...string) *exec.Cmd {
	w.Helper()
	if !failpoint.Enabled {
		w.Skip("it needs processes with failpoints: go test -tags failpoints")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), append(env, envRole+"="+role, envDSN+"="+w.db.DSN, "RECOUNT_FAILPOINTS="+points)...)
	w.must(cmd.Start())
	w.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// dies waits for the end of a process, which must be one by a signal.
func (w *world) dies(cmd *exec.Cmd) {
	w.Helper()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
		w.Fatalf("the process ended with %v, it was to be killed", err)
	}
}
