package chaos

import (
	"strings"
	"testing"
)

// newServers starts a run that has servers and nobody else.
func newServers(t *testing.T, c Config) *run {
	t.Helper()
	c.Readers, c.Projectors, c.Clients, c.Orders = -1, -1, -1, -1
	needPostgres(t)
	if c.Mutant == "" {
		c.Recount, c.Worker = needPrograms(t)
	}
	r := newTestRun(t, c)
	if err := r.build(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.startServers(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// loseLeases takes all leases from their owners, who take them again.
func (r *run) loseLeases(t *testing.T) {
	t.Helper()
	if err := r.exec(t.Context(), `UPDATE recount.projection_generations SET epoch = epoch + 1, owner = NULL, lease_expires_at = NULL`); err != nil {
		t.Fatal(err)
	}
	until(t, "the projections run again", func() bool { return r.allOwned(t.Context()) == nil })
}

func TestGoroutinesThatAServerLeavesBehindAreFound(t *testing.T) {
	for name, mutant := range map[string]string{"none": "", "a leak": "goroutine-leak"} {
		t.Run(name, func(t *testing.T) {
			r := newServers(t, Config{Servers: 2, Mutant: mutant})
			for range 3 {
				r.loseLeases(t)
			}
			r.checkGoroutines(t.Context())
			found := r.report.Violations
			if leaked := strings.Contains(strings.Join(texts(found), "\n"), "lease.Keep"); leaked != (mutant != "") || !leaked && len(found) > 0 {
				t.Errorf("with the mutant %q the check says %q", mutant, texts(found))
			}
		})
	}
}

func texts(violations []Violation) (all []string) {
	for _, v := range violations {
		all = append(all, v.Text)
	}
	return all
}

func TestGoroutinesAreCountedByWhatTheyBeganWith(t *testing.T) {
	t.Parallel()
	const stacks = `goroutine 1 [running]:
runtime/pprof.writeGoroutineStacks({0x1, 0x2})
	/go/pprof.go:1 +0x1
net/http.(*conn).serve(0xc000, {0x1, 0x2})
	/go/server.go:2 +0x1
created by net/http.(*Server).Serve in goroutine 7
	/go/server.go:3 +0x1

goroutine 2 [select]:
recount/projections.(*worker).keep(0xc000)
	/src/worker.go:1 +0x1
recount/projections.(*worker).follow.func1(...)
	/src/worker.go:2
sync.(*WaitGroup).Go.func1()
	/go/waitgroup.go:1 +0x1
created by sync.(*WaitGroup).Go in goroutine 1
	/go/waitgroup.go:2 +0x1

goroutine 3 [select, 2 minutes]:
recount/projections.(*worker).follow.func1()
	/src/worker.go:2
created by sync.(*WaitGroup).Go in goroutine 1
	/go/waitgroup.go:2 +0x1

goroutine 4 [runnable]:
runtime.goexit({})
	/go/asm.s:1 +0x1
created by recount/shop.run in goroutine 1
	/src/shop.go:2 +0x1

goroutine 5 [runnable]:
net/http.(*connReader).backgroundRead(0xc000)
	/go/server.go:1 +0x1
created by net/http.(*connReader).startBackgroundRead in goroutine 1
	/go/server.go:2 +0x1
`
	got := countGoroutines(stacks)
	if len(got) != 3 || got["goroutines in recount/shop.run"] != 1 || got["goroutines in net/http.(*conn).serve"] != 1 || got["goroutines in recount/projections.(*worker).follow.func1"] != 2 {
		t.Errorf("goroutines are %v", got)
	}
}
