package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWhatIsStuckNamesWhoIsInTheWay(t *testing.T) {
	b := newBroken(t)
	first, second := b.connect(), b.connect()
	holder, err := first.Begin(b.Context())
	b.must(err)
	_, err = holder.Exec(b.Context(), `LOCK TABLE recount.projections`)
	b.must(err)
	waited := make(chan error, 1)
	go func() {
		_, err := second.Exec(b.Context(), `SELECT FROM recount.projections`)
		waited <- err
	}()
	pid := fmt.Sprintf("{%d}", first.PgConn().PID())
	until(b.T, "the look names who is in the way", func() bool {
		b.lookAround(b.Context(), "a test")
		said, err := os.ReadFile(filepath.Join(b.dir, "stuck.txt"))
		b.must(err)
		return strings.Contains(string(said), "blocked by "+pid)
	})
	b.must(holder.Rollback(b.Context()))
	b.must(<-waited)
}

// TestPostgresThatGaveUpIsStartedAgain ends it behind the back of the harness.
func TestPostgresThatGaveUpIsStartedAgain(t *testing.T) {
	b := newBroken(t)
	for who, again := range map[string]func() error{
		"who writes":       func() error { return b.persist(b.Context(), `SELECT 1`) },
		"who would end it": func() error { return b.cluster.kill(b.Context()) },
	} {
		b.must(syscall.Kill(b.cluster.server.PID(), syscall.SIGKILL))
		<-b.cluster.server.Stopped()
		b.must(again())
		b.recovers("started again by " + who)
	}
}
