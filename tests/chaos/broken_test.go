package chaos

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// client is who connects through the gate of the tests, idler a process that they
// break.
const (
	client = "client-1"
	idler  = "idler-1"
)

// broken is a run with PostgreSQL, a gate in front of it and an idle process.
type broken struct {
	*testing.T
	*run
}

// newBroken starts it.
func newBroken(t *testing.T) *broken {
	t.Helper()
	needPostgres(t)
	b := &broken{t, newTestRun(t, Config{DiskSize: 400 << 20})}
	b.must(b.startPostgres(t.Context()))
	b.must(b.run.exec(t.Context(), `CREATE TABLE chaos.written (name text PRIMARY KEY, filling text)`))
	_, err := b.gated(client)
	b.must(err)
	// It dies of the failpoint that it is told to die of.
	b.must(b.add(idler, roleWriter, "sh", "-c", `[ -z "$RECOUNT_FAILPOINTS" ] || kill -KILL $$; exec sleep 1000`))
	b.must(b.processes[idler].start())
	return b
}

func (b *broken) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// inject lets a fault happen and counts it.
func (b *broken) inject(f Fault) {
	b.Helper()
	b.must(b.injector.inject(b.Context(), f))
}

// connect connects through the gate.
func (b *broken) connect() *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), b.gates[client].proxy.DSN())
	b.must(err)
	b.Cleanup(func() { _ = conn.Close(context.Background()) }) // some are broken
	return conn
}

// write commits a row through the gate.
func (b *broken) write(name string) error {
	b.Helper()
	tx, err := b.connect().Begin(b.Context())
	b.must(err)
	_, err = tx.Exec(b.Context(), `INSERT INTO chaos.written VALUES ($1)`, name)
	b.must(err)
	return tx.Commit(b.Context())
}

// written reports whether a row is there.
func (b *broken) written(name string) (there bool) {
	b.Helper()
	b.must(b.onDatabase(b.Context(), func(conn *pgx.Conn) error {
		return conn.QueryRow(b.Context(), `SELECT EXISTS (SELECT FROM chaos.written WHERE name = $1)`, name).Scan(&there)
	}))
	return there
}

// pid returns the process id of the idler.
func (b *broken) pid() int {
	p := b.processes[idler]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// alive waits until the idler runs and is not stopped.
func (b *broken) alive() {
	b.Helper()
	until(b.T, "the process runs", func() bool {
		state := b.state()
		return state == "S" || state == "R"
	})
}

// state returns the letter that the system has for what the idler does.
func (b *broken) state() string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.pid()))
	_, after, ok := strings.Cut(string(text), ") ")
	if err != nil || !ok {
		return "gone"
	}
	return after[:1]
}

// during lets a fault go on in the background until end is called, which waits until it is over.
func (b *broken) during(f Fault) (end func()) {
	ctx, cancel := context.WithCancel(b.Context())
	over := make(chan struct{})
	f.For = time.Hour
	go func() {
		defer close(over)
		if err := b.injector.inject(ctx, f); err != nil {
			b.Error(err)
		}
	}()
	return func() {
		cancel()
		<-over
	}
}

// recovers waits until rows can be written again.
func (b *broken) recovers(name string) {
	b.Helper()
	b.must(b.persist(b.Context(), `INSERT INTO chaos.written VALUES ($1)`, name))
}

// fills writes while a disk is full, until that fails.
func (b *broken) fills(kind Kind) {
	b.Helper()
	if b.cluster.noDisks != nil {
		b.Skip(b.cluster.noDisks)
	}
	end := b.during(Fault{Kind: kind})
	failed := func() bool {
		return b.run.exec(b.Context(), `INSERT INTO chaos.written SELECT gen_random_uuid(), repeat(gen_random_uuid()::text, 50) FROM generate_series(1, 2000)`) != nil
	}
	until(b.T, "the disk is full", failed)
	end()
	b.recovers(string(kind))
}

// insertsEvents runs a statement that comes by what rolls back, in a transaction of
// its own.
func (b *broken) insertsEvents() error {
	return b.run.exec(b.Context(), `INSERT INTO recount.events SELECT * FROM recount.events WHERE false`)
}
