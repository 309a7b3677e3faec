package pgembed_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/57528e99/recount/internal/pgembed"
)

// envChild makes the test binary start a server and wait to be killed; see startChild.
const envChild = "RECOUNT_PGEMBED_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(envChild) != "" {
		child()
	}
	goleak.VerifyTestMain(m)
}

func child() {
	s, err := pgembed.Start(context.Background(), pgembed.Config{Fresh: true, Test: true})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.DataDir())
	select {}
}

// needBinaries skips the test where PostgreSQL is not installed.
func needBinaries(t *testing.T) {
	t.Helper()
	_, err := pgembed.FindBinaries(0)
	var none *pgembed.NoBinariesError
	if errors.As(err, &none) {
		t.Skipf("%v\n%s", err, none.Hint())
	}
}

// dataDir returns a data directory to be created, in a folder that every user can enter.
func dataDir(t *testing.T) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "pgembed-*")
	if err == nil {
		err = os.Chmod(parent, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(parent); err != nil {
			t.Error(err)
		}
	})
	return parent + "/pg"
}

// start starts a server that is stopped at the test's end, if not before.
func start(t *testing.T, c pgembed.Config) *pgembed.Server {
	t.Helper()
	needBinaries(t)
	c.Test = true
	s, err := pgembed.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *pgembed.Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// query runs one statement on a connection of its own and returns its one value, if it has one.
func query(t *testing.T, dsn, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var v string
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// eventually waits for ok to become true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}
