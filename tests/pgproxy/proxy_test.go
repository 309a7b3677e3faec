package pgproxy_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/tests/pgproxy"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func start(t *testing.T, db *pgtest.DB, choose func() pgproxy.Fault) *pgproxy.Proxy {
	t.Helper()
	p, err := pgproxy.Start(db.DSN, choose)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func none() pgproxy.Fault { return pgproxy.None }

func TestNotificationsAreDroppedAsLongAsItIsWanted(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := start(t, db, none)
	listener, notifier := connect(t, p.DSN()), connect(t, db.DSN)
	exec := func(conn *pgx.Conn, sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(listener, "LISTEN news")
	p.DropNotifications(true)
	exec(notifier, "NOTIFY news, 'lost'")
	// A statement of the listener's brings what was sent before it.
	exec(listener, "SELECT 1")
	if n := p.Dropped(); n != 1 {
		t.Errorf("%d notifications were dropped, want 1", n)
	}
	p.DropNotifications(false)
	exec(notifier, "NOTIFY news, 'heard'")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := listener.WaitForNotification(ctx)
	if err != nil || n.Payload != "heard" {
		t.Errorf("WaitForNotification = %+v, %v; want heard", n, err)
	}
}

func TestConnectionsGoWhereTheyAreRedirected(t *testing.T) {
	t.Parallel()
	p := start(t, pgtest.New(t), none)
	before := connect(t, p.DSN())
	elsewhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { elsewhere.Close() })
	reached := make(chan error, 1)
	go func() {
		conn, err := elsewhere.Accept()
		if err == nil {
			err = conn.Close()
		}
		reached <- err
	}()
	if err := p.Redirect("postgres://somebody@" + elsewhere.Addr().String() + "/somewhere"); err != nil {
		t.Fatal(err)
	}
	if conn, err := pgx.Connect(t.Context(), p.DSN()); err == nil {
		t.Errorf("Connect led to %s", conn.Config().ConnString())
	}
	if err := <-reached; err != nil {
		t.Error(err)
	}
	// The connection of before stays where it is until it is cut. How many were cut is not asked: the
	// one that was redirected may still be on its way out.
	if err := before.Ping(t.Context()); err != nil {
		t.Errorf("Ping on the connection of before = %v", err)
	}
	p.Cut()
	if err := before.Ping(t.Context()); err == nil {
		t.Error("the connection of before was not cut")
	}
	if err := p.Redirect("no address"); err == nil {
		t.Error("an address that cannot be read is taken")
	}
}

func TestACommitWaitsForItsFault(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	asked, release := make(chan struct{}), make(chan struct{})
	p := start(t, db, func() pgproxy.Fault {
		close(asked)
		<-release
		return pgproxy.CutBefore
	})
	conn, beside := connect(t, p.DSN()), connect(t, db.DSN)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock(1)"); err != nil {
		t.Fatal(err)
	}
	committed := make(chan error, 1)
	go func() { committed <- tx.Commit(t.Context()) }()
	<-asked
	locked := func() (locked bool) {
		t.Helper()
		if err := beside.QueryRow(t.Context(), "SELECT NOT pg_try_advisory_xact_lock(1)").Scan(&locked); err != nil {
			t.Fatal(err)
		}
		return locked
	}
	if !locked() {
		t.Error("the transaction has ended before its COMMIT")
	}
	close(release)
	if err := <-committed; err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("Commit = %v, want a lost connection", err)
	}
}

// TestACommitIsHeldHoweverItIsSent sends it as a simple query, as pgx's
// transactions do, in a pipeline, and as the end of one.
func TestACommitIsHeldHoweverItIsSent(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pipelined := func(conn *pgx.Conn) error {
		var b pgx.Batch
		b.Queue("BEGIN")
		b.Queue("INSERT INTO held VALUES ($1)", "pipelined")
		b.Queue("COMMIT")
		return conn.SendBatch(t.Context(), &b).Close()
	}
	implied := func(conn *pgx.Conn) error {
		var b pgx.Batch
		b.Queue("SELECT FROM held FOR UPDATE")
		b.Queue("INSERT INTO held VALUES ($1)", "implied")
		return conn.SendBatch(t.Context(), &b).Close()
	}
	simple := func(conn *pgx.Conn) error {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), "INSERT INTO held VALUES ($1)", "simple"); err != nil {
			return err
		}
		return tx.Commit(t.Context())
	}
	beside := connect(t, db.DSN)
	if _, err := beside.Exec(t.Context(), "CREATE TABLE held (how text)"); err != nil {
		t.Fatal(err)
	}
	for how, commit := range map[string]func(*pgx.Conn) error{"pipelined": pipelined, "implied": implied, "simple": simple} {
		p := start(t, db, func() pgproxy.Fault { return pgproxy.Hold })
		if err := commit(connect(t, p.DSN())); err == nil {
			t.Errorf("%s: the client was answered", how)
		}
		there := func() (there bool) {
			t.Helper()
			if err := beside.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM held WHERE how = $1)", how).Scan(&there); err != nil {
				t.Fatal(err)
			}
			return there
		}
		if there() {
			t.Errorf("%s: it was committed before its release", how)
		}
		p.Release()
		for deadline := time.Now().Add(time.Minute); !there(); {
			if time.Now().After(deadline) {
				t.Fatalf("%s: it is not committed after its release", how)
			}
		}
	}
}
