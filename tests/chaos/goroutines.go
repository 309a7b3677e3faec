package chaos

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore/logcheck"
	httpclient "github.com/57528e99/recount/httpapi/client"
	"github.com/57528e99/recount/shop"
)

const (
	// settling is how long servers have until they are fresh.
	settling = time.Minute
	// ending is how long each has in the end to finish what it was doing.
	ending = 10 * time.Second
)

// leaseKeepers is the kind of goroutine that each projection has where it runs.
const leaseKeepers = "goroutines in github.com/57528e99/recount/internal/lease.Keep.func1"

// awaitFresh waits until all servers answer and have taken all projections, and
// remembers their goroutines.
func (r *run) awaitFresh(ctx context.Context) error {
	if r.config.Servers == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	var err error
	for ; ctx.Err() == nil; wait(ctx, 50*time.Millisecond) {
		if err = r.allOwned(ctx); err != nil {
			continue
		}
		r.fresh = make(map[string]int)
		if err = r.addGoroutines(ctx, r.fresh); err != nil {
			continue
		}
		// A lease is taken a moment before whoever renews it begins.
		n, want := r.fresh[leaseKeepers], keptByServers()
		if n >= want {
			return nil
		}
		err = fmt.Errorf("%d of %d leases are renewed", n, want)
	}
	return fmt.Errorf("servers are not ready after %s: %w", settling, err)
}

// keptByServers is how many projections servers keep: the shop's, those of sagas, and the snapshots of each category.
func keptByServers() int {
	a := shop.App()
	a.Targets = map[string]func(*app.Service, delivery.Definition) (delivery.Target, error){delivery.KindGather: app.Gather} // as cmd/recount has
	return len(a.Projections()) + strings.Count(snapshots, "=")
}

// allOwned returns an error until servers have taken all projections.
func (r *run) allOwned(ctx context.Context) error {
	owned, want := 0, keptByServers()
	err := r.onDatabase(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT count(*) FROM recount.projection_generations WHERE owner IS NOT NULL`).Scan(&owned)
	})
	if err == nil && owned < want {
		err = fmt.Errorf("%d of %d projections run", owned, want)
	}
	return err
}

// addGoroutines adds those of all servers.
func (r *run) addGoroutines(ctx context.Context, counts map[string]int) error {
	for _, admin := range r.admins {
		its, err := goroutinesOf(ctx, admin)
		if err != nil {
			return err
		}
		for kind, n := range its {
			counts[kind] += n
		}
	}
	return nil
}

// checkGoroutines checks that no server has goroutines left of what is over.
// Which server has which projections changes, so each may have as many of a kind
// as all had together when they were fresh.
func (r *run) checkGoroutines(ctx context.Context) {
	if r.config.Servers == 0 {
		return
	}
	var found []logcheck.Violation
	for _, p := range r.ofRole(roleServer) {
		for _, v := range r.leftGoroutines(ctx, r.admins[p.name]) {
			v.Text = p.name + ": " + v.Text
			found = append(found, v)
		}
	}
	r.check("goroutines of servers", len(r.admins), found)
}

// leftGoroutines returns what a server has too much, once it has had time to end
// what it was doing.
func (r *run) leftGoroutines(ctx context.Context, admin string) (found []logcheck.Violation) {
	ctx, cancel := context.WithTimeout(ctx, ending)
	defer cancel()
	for ; ; wait(ctx, 200*time.Millisecond) {
		now, err := goroutinesOf(ctx, admin)
		if ctx.Err() != nil && found != nil {
			return found
		}
		if found = logcheck.Leaks(r.fresh, now); err != nil {
			found = []logcheck.Violation{{Rule: logcheck.RuleLeaks, Text: err.Error()}}
		}
		if len(found) == 0 || ctx.Err() != nil {
			return found
		}
	}
}

// operators asks servers how they are, with a connection for each question: an
// idle one would be a goroutine of the server.
var operators = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// goroutinesOf counts the goroutines of a server by what they do.
func goroutinesOf(ctx context.Context, admin string) (counts map[string]int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	a, err := httpclient.Get(ctx, operators, admin+"/debug/pprof/goroutine?debug=2")
	if err != nil {
		return nil, fmt.Errorf("ask for goroutines: %w", err)
	}
	return countGoroutines(string(a.Body)), nil
}

// readsAhead starts a goroutine beside a request that is being answered, such as
// the one that asks for goroutines.
const readsAhead = "net/http.(*connReader).startBackgroundRead"

// countGoroutines counts goroutines by the function that each began with, but for
// those of package sync, which begin what others hand them. One that has not begun
// goes by who started it.
func countGoroutines(stacks string) map[string]int {
	counts := make(map[string]int)
	for stack := range strings.SplitSeq(strings.TrimSpace(stacks), "\n\n") {
		began, starter := "", ""
		for line := range strings.Lines(stack) {
			name, starts := strings.CutPrefix(line, "created by ")
			call := strings.LastIndexByte(line, '(')
			switch {
			case starts:
				starter, _, _ = strings.Cut(strings.TrimSpace(name), " in goroutine ")
			case call > 0 && line[0] != '\t' && !strings.HasPrefix(line, "sync.") && !strings.HasPrefix(line, "runtime.goexit("):
				began = line[:call]
			}
		}
		if starter != readsAhead {
			counts["goroutines in "+cmp.Or(began, starter)]++
		}
	}
	return counts
}
