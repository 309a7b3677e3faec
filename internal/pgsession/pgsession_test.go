package pgsession_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/pgsession"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// newPool returns a pool to the database with the package's settings, or without, and counts its
// connections.
func newPool(t *testing.T, dsn string, configure func(*pgxpool.Config)) (pool *pgxpool.Pool, connections *atomic.Int64) {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int64)
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		connections.Add(1)
		return dial(ctx, network, address)
	}
	configure(config)
	if pool, err = pgxpool.NewWithConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool, connections
}

func alter(t *testing.T, db *pgtest.DB, setting string) {
	t.Helper()
	if _, err := db.Pool.Exec(t.Context(), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET `+setting+`', current_database()); END $$`); err != nil {
		t.Fatal(err)
	}
}

func TestSettingsOfADatabaseDoNotMatter(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	for name, unkind := range map[string]string{
		"default_transaction_isolation": "serializable", "statement_timeout": "1min", "lock_timeout": "1ms", "client_encoding": "LATIN1",
		"DateStyle": "German", "bytea_output": "escape", "extra_float_digits": "-15", "TimeZone": "Asia/Kathmandu",
		"array_nulls": "off", "row_security": "on", "exit_on_error": "on", "idle_session_timeout": "1min", "jit": "on",
	} {
		alter(t, db, name+" = ''"+unkind+"''")
	}
	pool, _ := newPool(t, db.DSN, pgsession.Configure)
	if err := pgsession.Check(t.Context(), pool); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{
		"transaction_isolation": "read committed", "statement_timeout": "0", "idle_session_timeout": "0", "exit_on_error": "off", "row_security": "off", "jit": "off",
	} {
		var got string
		if err := pool.QueryRow(t.Context(), `SELECT current_setting($1)`, name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", name, got, err, want)
		}
	}
	plain, _ := newPool(t, db.DSN, func(*pgxpool.Config) {})
	var refused *pgsession.SettingError
	if err := pgsession.Check(t.Context(), plain); !errors.As(err, &refused) || refused.Hint() == "" {
		t.Errorf("Check of a pool that was not configured: %v, want a SettingError", err)
	}
	// It cannot be set by everybody, so nor is it.
	alter(t, db, "session_replication_role = ''replica''")
	pool.Reset()
	if err := pgsession.Check(t.Context(), pool); !errors.As(err, &refused) || refused.Name != "session_replication_role" {
		t.Errorf("Check of sessions that keep no foreign key: %v, want a SettingError", err)
	}
}

// A server that does not answer holds up who asks it, and others for as long as they want to wait.
func TestAServerThatDoesNotAnswerIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig("postgres://nobody@127.0.0.1/nothing")
	if err != nil {
		t.Fatal(err)
	}
	dialled := make(chan struct{})
	dials := sync.OnceFunc(func() { close(dialled) })
	config.ConnConfig.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		dials()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	pgsession.Configure(config)
	asking, stop := context.WithCancel(t.Context())
	asked := make(chan error)
	go func() { asked <- config.BeforeConnect(asking, config.ConnConfig.Copy()) }()
	<-dialled
	ended, end := context.WithCancel(t.Context())
	end()
	if err := config.BeforeConnect(ended, config.ConnConfig.Copy()); !errors.Is(err, context.Canceled) {
		t.Errorf("a connection that nobody waits for: %v, want its context's error", err)
	}
	stop()
	<-asked
}

func TestAbandonedStatementsCostNoConnections(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	abandon := func(pool *pgxpool.Pool) {
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			running := make(chan struct{})
			go func() { <-running; cancel() }()
			conn, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			close(running)
			_, _ = conn.Exec(ctx, `SELECT pg_sleep(0.005)`)
			conn.Release()
			cancel()
		}
	}
	pool, connections := newPool(t, db.DSN, pgsession.Configure)
	if err := pool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := connections.Load()
	abandon(pool)
	if made := connections.Load() - before; made != 0 {
		t.Errorf("20 abandoned statements made %d connections", made)
	}
}

// A session keeps whether the database was read-only when it began.
func TestSessionsOfAReadOnlyTimeAreReplaced(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	pool, _ := newPool(t, db.DSN, func(c *pgxpool.Config) { c.MaxConns = 4; pgsession.Configure(c) })
	write := func() error {
		_, err := pool.Exec(t.Context(), `CREATE TABLE IF NOT EXISTS written ()`)
		return err
	}
	alter(t, db, "default_transaction_read_only = on")
	pool.Reset()
	// Four sessions that are read-only.
	var held []*pgxpool.Conn
	for range 4 {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	for _, conn := range held {
		conn.Release()
	}
	if _, err := db.Pool.Exec(t.Context(), `BEGIN READ WRITE; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$; COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := write(); !pgerr.IsReadOnly(err) {
		t.Fatalf("write in a session of a read-only time: %v", err)
	}
	if err := write(); err != nil {
		t.Errorf("write after it: %v", err)
	}
}

func TestReadsAreTriedAgainAfterALostSession(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	pool, _ := newPool(t, db.DSN, pgsession.Configure)
	var pid int
	if err := pool.QueryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool.Exec(t.Context(), `SELECT pg_terminate_backend($1, 5000)`, pid); err != nil {
		t.Fatal(err)
	}
	tries := 0
	err := pgsession.Retry(t.Context(), func() error {
		tries++
		return pool.QueryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid)
	})
	if err != nil || tries > 2 {
		t.Errorf("a read after its session was ended: %v in %d tries", err, tries)
	}
	tries = 0
	err = pgsession.Retry(t.Context(), func() error {
		tries++
		_, err := pool.Exec(t.Context(), `SELECT 1/0`)
		return err
	})
	if err == nil || tries != 1 {
		t.Errorf("a statement that is refused: %v in %d tries, want 1", err, tries)
	}
}
