package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/internal/pgtest/freeport"
	"github.com/57528e99/recount/migrations"
)

// startServe starts recount serve on a database and waits until it is ready.
func startServe(t *testing.T, db *pgtest.DB, args ...string) (p *process, url string) {
	t.Helper()
	p = startProcess(t, append([]string{"serve", "--database", db.DSN, "--listen", "127.0.0.1:0", "--max-connections", "8"}, args...)...)
	return p, p.await(t, `"url":"([^"]+)"`)[1]
}

func TestTwoServersOnOneDatabase(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	one, urlOne := startServe(t, db)
	two, urlTwo := startServe(t, db)
	placeAndRead(t, urlOne, urlTwo, "1")
	placeAndRead(t, urlTwo, urlOne, "2")

	// The one that stays takes over what the other gave back.
	one.stopGently(t)
	placeAndRead(t, urlTwo, urlTwo, "3")
	two.stopGently(t)
}

// Whoever can ask for /readyz must not be able to use up the connections of the database.
func TestChecksOpenNoConnectionOfTheirOwn(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	_, url := startServe(t, db)
	if got := call(t, "GET", url+"/readyz?verbose", ""); got.status != http.StatusOK {
		t.Fatalf("GET /readyz = %d %s, want 200", got.status, got.body)
	}
	if _, err := db.Pool.Exec(t.Context(), `UPDATE pg_database SET datallowconn = false WHERE datname = current_database()`); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := call(t, "GET", url+"/readyz?verbose", ""); got.status != http.StatusOK {
			t.Errorf("GET /readyz = %d %s where no more connections can be made, want 200", got.status, got.body)
		}
	}
}

func TestServeRunsTheRolesItIsGiven(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	api, urlAPI := startServe(t, db, "--roles", "api")
	runner, urlRunner := startServe(t, db, "--roles", "projections")
	placeAndRead(t, urlAPI, urlAPI, "1")
	for _, url := range []string{urlAPI, urlRunner} {
		if got := call(t, "GET", url+"/readyz?verbose", ""); got.status != http.StatusOK || !strings.Contains(got.body, `"migrations","ok":true`) {
			t.Errorf("GET /readyz = %d %s, want 200 and good migrations", got.status, got.body)
		}
	}
	if got := call(t, "GET", urlRunner+"/v1/orders/1", ""); got.status != http.StatusNotFound || !strings.Contains(got.body, "route") {
		t.Errorf("without the role api GET /v1/orders/1 = %d %s, want no such route", got.status, got.body)
	}
	api.stopGently(t)
	runner.stopGently(t)
}

// TestServeWithFewConnections does all that needs more than one, with as few as it may be given.
func TestServeWithFewConnections(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	_, api := startServe(t, db, "--roles", "api", "--max-connections", "1")
	_, url := startServe(t, db, "--max-connections", "2")
	for i, place := range []string{api, url, api, url} {
		placeAndRead(t, place, []string{url, api}[i/2], strconv.Itoa(i))
	}
	for i, operation := range []string{"rebuild", "verify"} {
		server := []string{url, api}[i]
		if code := startProcess(t, "projections", operation, "--all", "--server", server).exit(t); code != exitOK {
			t.Errorf("projections %s --all = exit code %d, want 0", operation, code)
		}
		placeAndRead(t, api, url, "after-"+operation)
	}
	for _, server := range []string{api, url} {
		if got := call(t, "GET", server+"/readyz?verbose", ""); got.status != http.StatusOK {
			t.Errorf("GET /readyz = %d %s, want 200", got.status, got.body)
		}
	}
}

func TestServeFinishesWhatItHasBegun(t *testing.T) {
	t.Parallel()
	server, url := startServe(t, logtest.New(t))
	conn := holdRequest(t, url)
	defer conn.Close()
	server.signal(t, os.Interrupt)
	server.await(t, `"message":"stopping"`)
	awaitClosed(t, url)
	if _, err := conn.Write([]byte(`{"a":[1]} `)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 12)
	if _, err := conn.Read(got); err != nil || string(got) != "HTTP/1.1 400" {
		t.Errorf("the request that was under way got %q, %v, want an answer", got, err)
	}
	if code := server.exit(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestServeMigratesOnRequestOnly(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	server := startProcess(t, "serve", "--database", db.DSN, "--listen", "127.0.0.1:0")
	server.await(t, `error: schema recount is at version 0, this program needs version \d+\nhint: run recount migrate up`)
	if code := server.exit(t); code != exitUnavailable {
		t.Errorf("exit code %d on an empty database, want %d", code, exitUnavailable)
	}
	server, _ = startServe(t, db, "--migrate")
	server.stopGently(t)
}

func TestMigrationsOfSeveralProcessesAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	var processes []*process
	for range 4 {
		processes = append(processes, startProcess(t, "migrate", "up", "--database", db.DSN))
	}
	for _, p := range processes {
		if code := p.exit(t); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	}
	if now, err := migrations.Status(t.Context(), db.DSN, db.Schema); err != nil || now.Pending() || now.Dirty {
		t.Errorf("Status = %+v, %v", now, err)
	}
}

func TestServeWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	db, err := pgx.ParseConfig(logtest.New(t).DSN)
	if err != nil {
		t.Fatal(err)
	}
	address := freeport.For(t).Address() // nobody listens there for now
	dsn := url.URL{Scheme: "postgres", User: url.UserPassword(db.User, db.Password), Host: address, Path: "/" + db.Database}

	said := newTranscript()
	done := make(chan error, 1)
	go func() { done <- awaitDatabase(t.Context(), dsn.String(), patience, zerolog.New(said)) }()
	said.await(t, `"error":"(failed to connect[^"]*refused)","patience_ms":120000,"message":"waiting for the database"`, nil)
	forward(t, address, db)
	if err := <-done; err != nil {
		t.Errorf("a database that came later: %v", err)
	}

	dsn.Path += "_that_is_not_there"
	if err := awaitDatabase(t.Context(), dsn.String(), time.Hour, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "3D000") {
		t.Errorf("a database that the server does not have: %v, want its error at once", err)
	} else if hint := hintFor(err); hint != "create it: createdb "+strings.TrimPrefix(dsn.Path, "/") {
		t.Errorf("hint for a database that the server does not have: %q", hint)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	if err := awaitDatabase(ctx, "postgres://nobody@127.0.0.1:1/x", time.Hour, zerolog.Nop()); exitCode(err) != exitInterrupted {
		t.Errorf("interrupted: %v", err)
	}
}

// forward passes connections to an address on to a database, until the test ends.
func forward(t *testing.T, address string, db *pgx.ConnConfig) {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	network, server := pgconn.NetworkAddress(db.Host, db.Port)
	serving.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer client.Close()
				upstream, err := net.Dial(network, server)
				if err != nil {
					return
				}
				serving.Go(func() {
					_, _ = io.Copy(upstream, client)
					upstream.Close()
				})
				_, _ = io.Copy(client, upstream)
			})
		}
	})
}

func TestAConnectionThatDoesNotEndKeepsNoServer(t *testing.T) {
	t.Parallel()
	pool, err := openPool(t.Context(), logtest.New(t).DSN, 1)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := closePool(ctx, pool); !errors.Is(err, context.Canceled) {
		t.Errorf("closePool = %v, want that the time is up", err)
	}
	conn.Release()
	if err := closePool(t.Context(), pool); err != nil {
		t.Errorf("closePool = %v once it has ended", err)
	}
}
