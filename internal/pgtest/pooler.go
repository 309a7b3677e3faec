package pgtest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/internal/pgtest/freeport"
)

// Startup says what a pooler does with startup parameters that it does not keep for its clients.
type Startup string

const (
	// Refuses ends the connection.
	Refuses Startup = ""
	// Ignores takes them without effect.
	Ignores Startup = "ignore_startup_parameters = extra_float_digits, statement_timeout, lock_timeout, search_path, " +
		"idle_in_transaction_session_timeout, idle_session_timeout, default_transaction_isolation, bytea_output, intervalstyle, " +
		"array_nulls, row_security, exit_on_error, jit, application_name\n"
)

// Pooler is a PgBouncer in transaction mode before the server of the tests.
type Pooler struct{ address string }

// HasPooler reports whether NewPooler can start one, as far as the machine's programs go.
func HasPooler() bool {
	_, err := exec.LookPath("pgbouncer")
	return err == nil
}

// NewPooler starts one, which ends with the test. Without PgBouncer on the machine the test is
// skipped, and so it is under unkind settings, which no pooler keeps from sessions: those are
// refused.
func NewPooler(t testing.TB, startup Startup) *Pooler {
	t.Helper()
	if os.Getenv(EnvSettings) == unkindly {
		t.Skip("a pooler does not keep unkind settings from sessions")
	}
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		t.Skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
	}
	dsn, err := serverDSN()
	if err != nil {
		fatal(t, err)
	}
	server, err := pgx.ParseConfig(dsn)
	if err != nil {
		fatal(t, err)
	}
	at := freeport.For(t)
	config, users := filepath.Join(t.TempDir(), "pgbouncer.ini"), filepath.Join(t.TempDir(), "users.txt")
	text := fmt.Sprintf("[databases]\n* = host=%s port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\n"+
		"auth_type = trust\nauth_file = %s\npool_mode = transaction\nmax_client_conn = 500\n%s", server.Host, server.Port, at.Port, users, startup)
	for file, text := range map[string]string{config: text, users: fmt.Sprintf("%q %q\n", server.User, server.Password)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-q", config}
	if os.Getuid() == 0 {
		// It refuses to be root. The server's owner may enter its folder; the settings are read before.
		info, err := os.Stat(server.Host)
		if err != nil {
			t.Skipf("pgbouncer needs the user of a local server: %v", err)
		}
		owner, err := user.LookupId(fmt.Sprint(info.Sys().(*syscall.Stat_t).Uid))
		if err != nil {
			t.Fatal(err)
		}
		args = append([]string{"-u", owner.Username}, args...)
	}
	cmd := exec.Command(program, args...) // the end of t.Context would come before that of what uses it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p := &Pooler{address: at.Address()}
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", p.address)
		if err == nil {
			_ = conn.Close()
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("pgbouncer does not listen: %v", err)
		}
	}
}

// DSN returns the address of a test's database by way of the pooler, which keeps its connections to
// it.
func (p *Pooler) DSN(t testing.TB, db *DB) string {
	t.Helper()
	db.LeavesConnections()
	u, err := url.Parse(db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Del("host")
	query.Del("port")
	query.Set("sslmode", "disable")
	query.Set("default_query_exec_mode", "exec")
	u.Host, u.RawQuery = p.address, query.Encode()
	return u.String()
}

// Pool returns a pool to a test's database by way of the pooler.
func (p *Pooler) Pool(t testing.TB, db *DB) *pgxpool.Pool {
	t.Helper()
	return (&DB{DSN: p.DSN(t, db)}).NewPool(t, nil)
}
