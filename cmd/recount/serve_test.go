package main

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/internal/pgtest"
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
	_, url := startServe(t, db, "--max-connections", "4")
	for i, place := range []string{api, url, api, url} {
		placeAndRead(t, place, []string{url, api}[i/2], strconv.Itoa(i))
	}
	for i, operation := range []string{"rebuild", "verify"} {
		server := []string{url, api}[i]
		if code := startProcess(t, "projections", operation, "--all", "--server", server).exit(t); code != cli.ExitOK {
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
	if code := server.exit(t); code != cli.ExitUnavailable {
		t.Errorf("exit code %d on an empty database, want %d", code, cli.ExitUnavailable)
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
