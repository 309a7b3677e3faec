package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/tests/chaos"
	"github.com/57528e99/recount/tests/mutants"
)

// nextVersion makes the next version of the program: it calls OrderPlaced OrderSubmitted, writes
// StockReceived in schema version 2, and has version 2 of the read model orders.
//
//go:embed testdata/next-version.diff
var nextVersion string

// overlayOfNext writes what go build needs to build the next version into a folder, and returns the
// argument for it.
func overlayOfNext(t *testing.T, dir string) (flag string) {
	t.Helper()
	patch, err := mutants.ParsePatch("next-version", nextVersion)
	if err != nil {
		t.Fatal(err)
	}
	root, err := chaos.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	flag, err = patch.Overlay(root, dir)
	if err != nil {
		t.Fatalf("%v\nChange cmd/recount/testdata/next-version.diff to fit.", err)
	}
	return flag
}

// TestTheNextVersionCanBeMade finds a patch whose place has changed where the test that builds it
// is left out.
func TestTheNextVersionCanBeMade(t *testing.T) {
	t.Parallel()
	overlayOfNext(t, t.TempDir())
}

// TestTwoVersionsOfTheProgram deploys the next version of the program beside this one, kills this
// one, takes the deployment back and makes it again, while clients place orders and receive goods.
// What of the next version this one cannot read it stands aside from, and says so. Nothing fails,
// and what was accepted is there once.
func TestTwoVersionsOfTheProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program twice")
	}
	t.Parallel()
	dir := t.TempDir()
	this, next := filepath.Join(dir, "this"), filepath.Join(dir, "next")
	for program, flags := range map[string][]string{this: nil, next: {overlayOfNext(t, dir)}} {
		if err := chaos.Build(t.Context(), program, "cmd/recount", flags...); err != nil {
			t.Fatal(err)
		}
	}
	db := logtest.New(t)
	d := &deployment{T: t, db: db}
	old, urlOld := d.serve(this)
	end := d.load()
	d.takesMore()
	newer, urlNewer := d.serve(next)
	d.takesMore()
	d.reaches(urlOld, "orders", 1, operations.Unreadable, "OrderSubmitted")
	d.showsLines()
	d.remove(urlOld)
	old.signal(t, syscall.SIGKILL)
	old.exit(t)
	d.takesMore()

	// Back: this read model has not yet read what only the next version can read.
	recount(t, db, cli.ExitOK, "projections", "pause", "sales_by_country")
	d.takesMore()
	old, urlOld = d.serve(this)
	d.takesMore()
	d.remove(urlNewer)
	newer.stopGently(t)
	recount(t, db, cli.ExitOK, "projections", "resume", "sales_by_country")
	d.reaches(urlOld, "sales_by_country", 1, operations.Unreadable, "OrderSubmitted", "StockReceived")
	refused := d.refused.Load()
	until(t, "commands on what the next version wrote are refused", func() bool { return d.refused.Load() > refused })
	d.takesMore()

	// And on: it goes on by itself.
	newer, _ = d.serve(next)
	d.reaches(urlOld, "sales_by_country", 1, operations.Running)
	d.takesMore()
	d.remove(urlOld)
	old.stopGently(t)
	d.takesMore()
	end()

	d.wantEverything(next)
	newer.stopGently(t)
	t.Logf("%d orders, %d units; %d commands refused for a while", d.orders.Load(), d.units.Load(), d.refused.Load())
}

// deployment is the servers there are, of whichever version, and the clients that use them.
type deployment struct {
	*testing.T
	db      *pgtest.DB
	mu      sync.Mutex
	servers []string
	// failed is done when a client has failed.
	failed context.Context
	// orders and units were accepted; so many times a command was refused by a server that cannot read
	// what it depends on.
	orders, units, refused atomic.Int64
}

func (d *deployment) serve(program string) (p *process, url string) {
	d.Helper()
	p = startProgram(d.T, program, "serve", "--database", d.db.DSN, "--listen", "127.0.0.1:0", "--max-connections", "8")
	url = p.await(d.T, `"url":"([^"]+)"`)[1]
	d.mu.Lock()
	defer d.mu.Unlock()
	d.servers = append(d.servers, url)
	return p, url
}

func (d *deployment) remove(url string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.servers = slices.DeleteFunc(slices.Clone(d.servers), func(s string) bool { return s == url })
}

func (d *deployment) present() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.servers
}

// shopCommand is one that is sent under its key until a server accepts it.
type shopCommand struct {
	path, key, body string
	accepted        *atomic.Int64
}

// load has clients use the servers until end is called, which waits for what was begun.
func (d *deployment) load() (end func()) {
	stop := make(chan struct{})
	clients, ctx := errgroup.WithContext(d.Context())
	d.failed = ctx
	for i := range 4 {
		clients.Go(func() error {
			var pending *shopCommand // goods, which only the next version can receive meanwhile
			for n, stopping := 0, false; !stopping || pending != nil; n++ {
				select {
				case <-stop:
					stopping = true
				default:
				}
				id := fmt.Sprintf("%d-%d", i, n)
				placed, err := d.do(ctx, i+n, shopCommand{"/v1/orders", "order " + id, `{"id":"` + id + `","country":"Norway","currency":"NOK",` +
					`"lines":[{"sku":"TEA","description":"","quantity":2,"unit_price_minor":450}]}`, &d.orders})
				if err == nil && !placed {
					err = fmt.Errorf("no server takes order %s", id)
				}
				if err == nil && pending == nil {
					pending = &shopCommand{fmt.Sprintf("/v1/stock/SKU-%d/receive", i), "goods " + id, `{"quantity":1}`, &d.units}
				}
				received := false
				if err == nil {
					received, err = d.do(ctx, i+n, *pending)
				}
				if err != nil {
					return err
				}
				if received {
					pending = nil
				}
			}
			return nil
		})
	}
	return func() {
		d.Helper()
		close(stop)
		if err := clients.Wait(); err != nil {
			d.Fatal(err)
		}
	}
}

// do sends a command to one server after the other until one accepts it, and reports whether one
// has.
func (d *deployment) do(ctx context.Context, first int, c shopCommand) (accepted bool, err error) {
	for tries := 0; ; tries++ {
		servers := d.present()
		got, err := askOnce(ctx, "POST", servers[(first+tries)%len(servers)]+c.path, c.body,
			http.Header{"Idempotency-Key": {`"` + c.key + `"`}})
		unreadable := err == nil && got.status == http.StatusServiceUnavailable && strings.Contains(got.body, `"code":"event-unreadable"`)
		switch {
		case err == nil && (got.status == http.StatusOK || got.status == http.StatusCreated):
			c.accepted.Add(1)
			return true, nil
		case unreadable && strings.Contains(got.body, `in schema version 2`):
			d.refused.Add(1)
			if tries+1 >= len(servers) {
				return false, nil
			}
		case err == nil && (unreadable || got.header.Get("Retry-After") == ""):
			return false, fmt.Errorf("POST %s is answered %d %s", c.path, got.status, got.body)
		case err != nil && !gone(err):
			return false, err
		}
	}
}

// takesMore waits until more orders were placed.
func (d *deployment) takesMore() {
	d.Helper()
	before := d.orders.Load()
	until(d.T, "orders are placed", func() bool { return d.orders.Load() >= before+40 || d.failed.Err() != nil })
}

// reaches waits until a server says of a version of a read model that it is in a state, before an
// event of one of the types if any are given.
func (d *deployment) reaches(url, projection string, version int, state operations.State, types ...string) {
	d.Helper()
	until(d.T, fmt.Sprintf("%s is %s", projection, state), func() bool {
		got := call(d.T, "GET", url+"/v1/projections", "")
		var all struct{ Items []projections.Status }
		if err := json.Unmarshal([]byte(got.body), &all); err != nil || got.status != http.StatusOK {
			d.Fatalf("GET /v1/projections = %d %s, %v", got.status, got.body, err)
		}
		return slices.ContainsFunc(all.Items, func(s projections.Status) bool {
			return s.Projection == projection && s.Version == version && s.State == state && (len(types) == 0 ||
				slices.ContainsFunc(types, func(name string) bool { return strings.Contains(s.Unreadable.Error, name) }))
		})
	})
}

// showsLines waits until the view shows the orders as the next version has them.
func (d *deployment) showsLines() {
	d.Helper()
	until(d.T, "the view has the column of the next version", func() bool {
		_, err := d.db.Pool.Exec(d.Context(), `SELECT line_count FROM recount.orders LIMIT 1`)
		return err == nil
	})
}

// wantEverything wants that nothing has failed, that the read models have all that was accepted,
// once, and that the log has it under both names.
func (d *deployment) wantEverything(program string) {
	d.Helper()
	until(d.T, "the read models of the next version are at the end of the log", func() (there bool) {
		err := d.db.Pool.QueryRow(d.Context(), `SELECT bool_and(position = (SELECT max(position) FROM recount.events))
			FROM recount.projection_generations WHERE projection <> 'orders' OR version = 2`).Scan(&there)
		return err == nil && there
	})
	verify := startProgram(d.T, program, "projections", "verify", "--all", "--database", d.db.DSN)
	if code := verify.exit(d.T); code != cli.ExitOK {
		text, _ := verify.stdout.read()
		d.Errorf("verify: exit code %d\n%s", code, text)
	}
	for what, c := range map[string]struct {
		sql  string
		want int64
	}{
		"generations failed":    {`SELECT count(*) FROM recount.projection_generations WHERE failed_at IS NOT NULL`, 0},
		"operations failed":     {`SELECT count(*) FROM recount.operations WHERE state = 'failed'`, 0},
		"events of orders":      {`SELECT count(*) FROM recount.events e JOIN recount.categories c ON c.id = e.category_id WHERE c.name = 'order'`, d.orders.Load()},
		"names of their type":   {`SELECT count(*) FROM recount.event_types WHERE name IN ('OrderPlaced', 'OrderSubmitted')`, 2},
		"lines of orders":       {`SELECT sum(line_count) FROM recount.orders`, d.orders.Load()},
		"orders of Norway":      {`SELECT sum(orders) FROM recount.sales_by_country`, d.orders.Load()},
		"units of stock levels": {`SELECT sum(on_hand) FROM recount.stock_levels`, d.units.Load()},
	} {
		var got int64
		if err := d.db.Pool.QueryRow(d.Context(), `SELECT (`+c.sql+`)::bigint`).Scan(&got); err != nil || got != c.want {
			d.Errorf("%s: %d, %v; want %d", what, got, err, c.want)
		}
	}
}
