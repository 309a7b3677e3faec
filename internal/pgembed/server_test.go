//go:build unix

package pgembed_test

import (
	"bufio"
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/pgtest/freeport"
)

func TestDataStaysFromOneStartToTheNext(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	s := start(t, pgembed.Config{DataDir: dir})
	query(t, s.DSN(pgembed.Database), `CREATE TABLE kept AS SELECT 1`)
	stop(t, s)
	select {
	case <-s.Stopped():
	default:
		t.Error("Stopped is open after Stop")
	}
	stop(t, s) // a second time does nothing

	s = start(t, pgembed.Config{DataDir: dir})
	if got := query(t, s.DSN(pgembed.Database), `SELECT to_regclass('kept')::text`); got != "kept" {
		t.Errorf("table after restart = %q, want kept", got)
	}
}

func TestServerIsSetUpForRecount(t *testing.T) {
	t.Parallel()
	s := start(t, pgembed.Config{Fresh: true, MaxConnections: 17, Settings: map[string]string{"work_mem": "3MB"}})
	dsn := s.DSN(pgembed.Database)
	for sql, want := range map[string]string{
		// Not every build has lz4; those of npm do not.
		`SELECT ((setting = 'lz4') = ('lz4' = ANY (enumvals)))::text FROM pg_settings WHERE name = 'default_toast_compression'`: "true",
		`SHOW server_encoding`: "UTF8",
		`SELECT datcollate FROM pg_database WHERE datname = current_database()`: "C",
		`SHOW timezone`:             "UTC",
		`SHOW max_connections`:      "17",
		`SHOW work_mem`:             "3MB",
		`SHOW listen_addresses`:     "",
		`SELECT current_user::text`: pgembed.User,
	} {
		if got := query(t, dsn, sql); got != want {
			t.Errorf("%s = %q, want %q", sql, got, want)
		}
	}
}

func TestDevelopmentServerKeepsItsPromises(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	s, err := pgembed.Start(t.Context(), pgembed.Config{Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, s)
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		if got := query(t, s.DSN(pgembed.Database), `SHOW `+setting); got != "on" {
			t.Errorf("%s = %s, want on", setting, got)
		}
	}
}

func TestSecondStartNamesTheHolder(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	start(t, pgembed.Config{DataDir: dir})
	_, err := pgembed.Start(t.Context(), pgembed.Config{DataDir: dir})
	var running *pgembed.RunningError
	if !errors.As(err, &running) || running.PID != os.Getpid() {
		t.Errorf("second Start = %v, want a RunningError of process %d", err, os.Getpid())
	}
}

func TestTwoFirstStartsAtOnce(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	dir := dataDir(t)
	results := make(chan error)
	for range 2 {
		go func() {
			s, err := pgembed.Start(context.WithoutCancel(t.Context()), pgembed.Config{DataDir: dir, Test: true})
			if err == nil {
				t.Cleanup(func() { stop(t, s) })
			}
			results <- err
		}()
	}
	a, b := <-results, <-results
	if a == nil {
		a, b = b, a
	}
	var running *pgembed.RunningError
	if !errors.As(a, &running) || b != nil {
		t.Errorf("two starts = %v and %v, want one server and one RunningError", a, b)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	if dsn, ok := pgembed.Find(t.Context(), dir); ok {
		t.Errorf("Find before the first start = %s", dsn)
	}
	s := start(t, pgembed.Config{DataDir: dir})
	dsn, ok := pgembed.Find(t.Context(), dir)
	if !ok || dsn != s.DSN(pgembed.Database) {
		t.Errorf("Find = %q, %v, want %q", dsn, ok, s.DSN(pgembed.Database))
	}
	stop(t, s)
	if dsn, ok := pgembed.Find(t.Context(), dir); ok {
		t.Errorf("Find after Stop = %s", dsn)
	}
}

func TestKilledServerIsNoticedAndStartsAgain(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	s := start(t, pgembed.Config{DataDir: dir})
	query(t, s.DSN(pgembed.Database), `CREATE TABLE kept AS SELECT 1`)
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Stopped()
	stop(t, s)

	// After a restart of the machine or container, the number that the dead server left behind
	// often belongs to somebody else.
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	pidFile := filepath.Join(dir, "postmaster.pid")
	left, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(left), "\n")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(other.Process.Pid)+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	s = start(t, pgembed.Config{DataDir: dir})
	if got := query(t, s.DSN(pgembed.Database), `SELECT to_regclass('kept')::text`); got != "kept" {
		t.Errorf("table after the crash = %q, want kept", got)
	}
}

func TestServerDiesWithItsProcess(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envChild+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(line)
	if _, ok := pgembed.Find(t.Context(), dir); !ok {
		t.Fatalf("no server runs in %q", dir)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as intended

	eventually(t, "the server ends", func() bool { _, ok := pgembed.Find(t.Context(), dir); return !ok })
	// What it left is removed by the next fresh start.
	eventually(t, "its data are removed", func() bool {
		stop(t, start(t, pgembed.Config{Fresh: true}))
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestFreshDataGoWithStop(t *testing.T) {
	t.Parallel()
	s := start(t, pgembed.Config{Fresh: true})
	stop(t, s)
	left, err := filepath.Glob(s.DataDir() + "*")
	if err != nil || len(left) > 0 {
		t.Errorf("after Stop there is %q, %v", left, err)
	}
}

func TestTCPAsksForThePassword(t *testing.T) {
	t.Parallel()
	port := freeport.For(t).Port
	dir := dataDir(t)
	s := start(t, pgembed.Config{DataDir: dir, Port: port})
	first := s.TCPDSN(pgembed.Database)
	if got := query(t, first, `SELECT host(inet_server_addr())`); got != "127.0.0.1" {
		t.Errorf("server address = %s, want 127.0.0.1", got)
	}
	query(t, s.DSN(pgembed.Database), `SELECT 'over the socket too'`)

	u, err := url.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(pgembed.User, "wrong")
	if conn, err := pgx.Connect(t.Context(), u.String()); err == nil {
		conn.Close(t.Context())
		t.Error("connected with a wrong password")
	}
	stop(t, s)
	s = start(t, pgembed.Config{DataDir: dir, Port: port})
	if again := s.TCPDSN(pgembed.Database); again != first {
		t.Errorf("address after restart = %s, before = %s", again, first)
	}
}

func TestLongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(dataDir(t), strings.Repeat("long", 30), "pg")
	s := start(t, pgembed.Config{DataDir: dir})
	socketDir := query(t, s.DSN(pgembed.Database), `SHOW unix_socket_directories`)
	if socketDir == dir {
		t.Errorf("the socket is in %s, which is too long", dir)
	}
	if _, ok := pgembed.Find(t.Context(), dir); !ok {
		t.Error("Find does not find it")
	}
	stop(t, s)
	if _, err := os.Stat(socketDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's folder is still there: %v", err)
	}
}

func TestStartSaysWhyTheServerDoesNotStart(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	_, err := pgembed.Start(t.Context(), pgembed.Config{Fresh: true, Test: true, Settings: map[string]string{"shared_buffers": "nonsense"}})
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "shared_buffers"`) {
		t.Errorf("Start with a bad setting = %v, want the server's own words", err)
	}
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	dir := dataDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := pgembed.Start(ctx, pgembed.Config{DataDir: dir, Test: true}); err == nil {
		t.Fatal("Start succeeded within 50ms")
	}
	start(t, pgembed.Config{DataDir: dir}) // and the directory is free and usable
}
