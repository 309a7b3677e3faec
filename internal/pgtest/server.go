package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/internal/pgembed"
)

// EnvURL is the environment variable with the address of the server to test with. Its user must
// be allowed to create databases. Templates of earlier versions of the migrations stay there.
const EnvURL = "RECOUNT_TEST_DATABASE_URL"

// shared is the server of this process, if it needed one.
var shared struct {
	sync.Mutex
	server *pgembed.Server
	err    error
}

// serverDSN returns the address of a database from which others can be created.
func serverDSN() (string, error) {
	if dsn := os.Getenv(EnvURL); dsn != "" {
		return dsn, nil
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = pgembed.Start(context.Background(), pgembed.Config{Fresh: true, Test: true})
	}
	if shared.err != nil {
		return "", shared.err
	}
	return shared.server.DSN("postgres"), nil
}

// Main runs the tests of a package, stops the server they used and exits. A goroutine that the
// tests have left behind makes them fail.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main without the exit, for a TestMain that has more to do. It returns the exit code.
func Run(m *testing.M) int {
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	if code != 0 { // goroutines may be those of what a test did not come to
		return code
	}
	if err := goroutinesLeft(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest: the tests left goroutines behind:", err)
		return 1
	}
	return 0
}

func stopShared() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		return nil
	}
	server := shared.server
	shared.server = nil
	return server.Stop()
}

// NewServer starts a server for one test and stops it at the test's end. An empty c.DataDir
// means a temporary one; for a server that is started again on the same data, take one from
// DataDir. c.Test is set.
func NewServer(t testing.TB, c pgembed.Config) *pgembed.Server {
	t.Helper()
	c.Test = true
	c.Fresh = c.DataDir == ""
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := pgembed.Start(ctx, c)
	if err != nil {
		fatal(t, err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop the server: %v", err)
		}
	})
	return s
}

// DataDir returns the path of a data directory that does not exist yet, in a folder that every
// user can enter, since the tests may run as root and the server cannot. It is removed at the
// test's end.
func DataDir(t testing.TB) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "recount-test-*")
	if err == nil {
		err = os.Chmod(parent, 0o755)
	}
	if err != nil {
		t.Fatalf("create a folder for the data: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(parent); err != nil {
			t.Errorf("remove the data: %v", err)
		}
	})
	return parent + "/pg"
}

// fatal ends the test with err. Where PostgreSQL is not installed it is skipped instead.
func fatal(t testing.TB, err error) {
	t.Helper()
	var none *pgembed.NoBinariesError
	if errors.As(err, &none) {
		t.Skipf("%v\n%s", err, none.Hint())
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		t.Fatalf("%v\nhint: %s", err, hinted.Hint())
	}
	t.Fatal(err)
}
