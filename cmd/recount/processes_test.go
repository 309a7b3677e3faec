package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/internal/pgtest/freeport"
)

// owned returns how many generations a process has the leases of, and how many there are.
func owned(t *testing.T, db *pgtest.DB, p *process) (its, all int) {
	t.Helper()
	err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE owner LIKE '%/' || $1::int || '/%'), count(*)
		FROM recount.projection_generations`, p.cmd.Process.Pid).Scan(&its, &all)
	if err != nil {
		t.Fatal(err)
	}
	return its, all
}

// takesAll waits until a process has the leases of all projections.
func takesAll(t *testing.T, db *pgtest.DB, p *process) {
	t.Helper()
	until(t, "the process has all leases", func() bool {
		its, all := owned(t, db, p)
		want := len(theShop().Projections()) + 1 // that of snapshots
		return its == want && all == want
	})
}

// wantRightRows waits until every projection is at the end of the log, and compares its rows with
// it.
func wantRightRows(t *testing.T, db *pgtest.DB) {
	t.Helper()
	until(t, "all projections are at the end of the log", func() (there bool) {
		err := db.Pool.QueryRow(t.Context(), `SELECT bool_and(position = (SELECT max(position) FROM recount.events))
			FROM recount.projection_generations`).Scan(&there)
		return err == nil && there
	})
	verify := startProcess(t, "projections", "verify", "--all", "--database", db.DSN)
	if code := verify.exit(t); code != cli.ExitOK {
		text, _ := verify.stdout.read()
		t.Errorf("verify: exit code %d\n%s", code, text)
	}
}

// logOf reads the log.
func logOf(t *testing.T, db *pgtest.DB) *logcheck.Log {
	t.Helper()
	log, err := pglog.Read(t.Context(), db.Pool, db.Schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// TestLeasesMove has one process for the API and others for the projections. They move after a
// SIGKILL when their leases end, and with a graceful stop at once.
func TestLeasesMove(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	_, api := startServe(t, db, "--roles", "api")
	first, _ := startServe(t, db, "--roles", "projections")
	takesAll(t, db, first)
	second, _ := startServe(t, db, "--roles", "projections")
	placeAndRead(t, api, api, "1")

	first.signal(t, syscall.SIGKILL)
	first.exit(t)
	killed := time.Now()
	// Another one looks every half second whether a lease has ended: that makes less than 5 s.
	var longest float64
	err := db.Pool.QueryRow(t.Context(), `SELECT max(extract(epoch FROM lease_expires_at - clock_timestamp()))
		FROM recount.projection_generations`).Scan(&longest)
	if err != nil || longest > 3 {
		t.Errorf("the leases of the killed process last %.1fs more (%v), want 3s or less", longest, err)
	}
	placeAndRead(t, api, api, "2")
	takesAll(t, db, second)
	t.Logf("all leases have moved %s after the kill", time.Since(killed))

	third, _ := startServe(t, db, "--roles", "projections")
	second.stopGently(t)
	if its, _ := owned(t, db, second); its != 0 {
		t.Errorf("a process that was stopped gently has kept %d leases", its)
	}
	placeAndRead(t, api, api, "3")
	takesAll(t, db, third)
	wantRightRows(t, db)
}

// TestAFrozenOwnerCannotWrite freezes a process until another has its leases, and lets it go on
// with what it was doing while there are new events for it.
func TestAFrozenOwnerCannotWrite(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	frozen, urlFrozen := startServe(t, db)
	takesAll(t, db, frozen)
	placeAndRead(t, urlFrozen, urlFrozen, "1")
	other, urlOther := startServe(t, db)
	frozen.signal(t, syscall.SIGSTOP)
	placeAndRead(t, urlOther, urlOther, "2")
	takesAll(t, db, other)
	frozen.signal(t, syscall.SIGCONT)
	for i := range 6 {
		placeAndRead(t, urlOther, urlOther, fmt.Sprint("after-", i))
	}
	until(t, "the process has noticed for all projections", func() bool {
		text, _ := frozen.stderr.read()
		return strings.Count(text, `"message":"projection no longer runs here"`) >= 6
	})
	placeAndRead(t, urlFrozen, urlFrozen, "3") // its appends find the end of the log anew
	if its, all := owned(t, db, other); its != all {
		t.Errorf("the other process has %d of %d leases, want all: there was no reason to give one up", its, all)
	}
	if log := logOf(t, db); log.Len() != 9 {
		t.Errorf("the log has %d events, want 9", log.Len())
	}
	wantRightRows(t, db)
	frozen.stopGently(t)
	other.stopGently(t)
}

// client sends requests to servers as one does that knows what may be sent again: answers with
// Retry-After, and requests that a server was not there for, or gone before it answered.
type client struct {
	urls  []string
	again atomic.Int64
}

func (c *client) send(ctx context.Context, server int, method, path, body string, header http.Header) (answer, error) {
	for deadline := time.Now().Add(patience); ; server++ {
		got, err := askOnce(ctx, method, c.urls[server%len(c.urls)]+path, body, header)
		switch {
		case err == nil && got.header.Get("Retry-After") == "":
			return got, nil
		case err != nil && !gone(err):
			return got, err
		case time.Now().After(deadline):
			return got, errors.Join(fmt.Errorf("no server has done %s %s within %s: %d %s", method, path, patience, got.status, got.body), err)
		}
		c.again.Add(1)
	}
}

// gone reports whether a server was not there, or left while it was asked.
func gone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// order places an order on one server and reads it on the next.
func (c *client) order(ctx context.Context, server int, id string) error {
	body := `{"id":"` + id + `","country":"Norway","currency":"NOK","lines":[{"sku":"TEA","description":"","quantity":2,"unit_price_minor":450}]}`
	placed, err := c.send(ctx, server, "POST", "/v1/orders", body,
		http.Header{"Idempotency-Key": {`"` + id + `"`}})
	if err == nil && placed.status != http.StatusCreated {
		err = fmt.Errorf("place order %s: %d %s", id, placed.status, placed.body)
	}
	if err != nil {
		return err
	}
	read, err := c.send(ctx, server+1, "GET", "/v1/orders/"+id, "",
		http.Header{"Consistency-Token": {placed.header.Get("Consistency-Token")}, "Prefer": {"wait=5"}})
	if err == nil && (read.status != http.StatusOK || !strings.Contains(read.body, `"total_minor":900`)) {
		err = fmt.Errorf("read order %s: %d %s", id, read.status, read.body)
	}
	return err
}

// TestRollingRestartUnderLoad stops three servers one after the other, and starts each again, while
// clients place orders by way of all of them.
func TestRollingRestartUnderLoad(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	c := &client{}
	var servers []*process
	for range 3 {
		// It is to come back where it was.
		server, url := startServe(t, db, "--listen", freeport.For(t).Address())
		servers, c.urls = append(servers, server), append(c.urls, url)
	}
	var placed atomic.Int64
	stop := make(chan struct{})
	load, ctx := errgroup.WithContext(t.Context())
	for writer := range 6 {
		load.Go(func() error {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return nil
				default:
				}
				if err := c.order(ctx, writer+n, fmt.Sprintf("%d-%d", writer, n)); err != nil {
					return err
				}
				placed.Add(1)
			}
		})
	}
	more := func() {
		t.Helper()
		before := placed.Load()
		until(t, "orders are placed", func() bool { return placed.Load() >= before+30 || ctx.Err() != nil })
	}
	for i, server := range servers {
		more()
		server.stopGently(t)
		more() // by the two that are left
		servers[i], _ = startServe(t, db, "--listen", strings.TrimPrefix(c.urls[i], "http://"))
	}
	more()
	close(stop)
	if err := load.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d orders, %d requests sent again", placed.Load(), c.again.Load())
	if log := logOf(t, db); int64(log.Len()) != placed.Load() {
		t.Errorf("the log has %d events, want one for each of %d orders", log.Len(), placed.Load())
	}
	wantRightRows(t, db)
	for _, server := range servers {
		server.stopGently(t)
	}
}
