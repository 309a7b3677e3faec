package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/57528e99/recount/internal/pgtest/freeport"
	"github.com/57528e99/recount/tests/chaos/work"
	"github.com/57528e99/recount/tests/machine"
)

// run is one run, from the start of PostgreSQL to its end.
type run struct {
	config   Config
	dir      string
	plan     Plan
	cluster  *cluster
	injector *injector
	fleet
	// copies are the clusters that a copy took the place of, extra the processes
	// that were started for a phase of the end.
	copies []*cluster
	extra  []*fleet
	// filtered are the readers that do not read everything.
	filtered []string
	// receiver is where two of the subscriptions go.
	receiver *receiver
	// redriven are the dead letters that were tried again in the end, by subscription.
	redriven map[string]map[int64]bool
	// outages says what each time that the receiver was down has left.
	outages outages
	// admins are where servers tell operators how they are, by name.
	admins map[string]string
	// ports are those of the servers.
	ports []*freeport.Reservation
	// fresh is what goroutines all servers together had before there was any load.
	fresh map[string]int
	begun time.Time

	mu       sync.Mutex
	problems []error
	counts   map[string]int
	report   Report
}

// Run breaks things for a while and checks what is left. Violations are in the
// report and no error; errors are about what kept it from checking.
func Run(ctx context.Context, c Config) (report Report, err error) {
	if err := c.setDefaults(); err != nil {
		return Report{}, err
	}
	r := newRun(c)
	r.plan = newPlan(c.Seed, c.Faults, c.Duration, c.names(), c.Only)
	if r.dir, err = makeDir(c.Dir); err != nil {
		return Report{}, err
	}
	defer func() {
		err = errors.Join(err, r.close())
		if err == nil && c.Dir == "" && len(report.Violations) == 0 {
			err = os.RemoveAll(r.dir)
		}
	}()
	if err := r.build(ctx); err != nil {
		return Report{}, err
	}
	if err := r.start(ctx); err != nil {
		return Report{}, fmt.Errorf("start: %w", err)
	}
	r.breakThings(ctx)
	if ctx.Err() != nil {
		return Report{}, context.Cause(ctx)
	}
	if err := r.judge(ctx); err != nil {
		return Report{}, fmt.Errorf("check: %w", err)
	}
	if err := r.losses(ctx); err != nil {
		return Report{}, err
	}
	return r.finish(), errors.Join(r.problems...)
}

func newRun(c Config) *run {
	r := &run{config: c, fleet: newFleet(), admins: make(map[string]string), redriven: make(map[string]map[int64]bool), counts: make(map[string]int), begun: time.Now()}
	r.injector = newInjector(r)
	return r
}

// makeDir makes the folder of a run, which PostgreSQL's user can enter.
func makeDir(dir string) (string, error) {
	if dir == "" {
		made, err := os.MkdirTemp("", "recount-chaos-*")
		if err != nil {
			return "", err
		}
		return made, os.Chmod(made, 0o755)
	}
	made, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(made, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(made)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: the run needs a folder of its own", made)
	}
	return made, err
}

// start starts PostgreSQL and all processes.
func (r *run) start(ctx context.Context) error {
	if err := r.startServers(ctx); err != nil {
		return err
	}
	for _, p := range r.ofRole(roleWriter, roleReader, roleProjector, roleClient, roleDeliverer, roleImporter, roleOperator) {
		if err := p.start(); err != nil {
			return err
		}
	}
	return r.awaitLoad(ctx)
}

// awaitLoad waits until every writer and reader has done something: what is broken before breaks
// nothing.
func (r *run) awaitLoad(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	idle := func(p *process) bool {
		info, err := os.Stat(work.HistoryFile(r.dir, p.name))
		return err != nil || info.Size() == 0
	}
	for slices.ContainsFunc(r.ofRole(roleWriter, roleReader), idle) {
		if wait(ctx, 50*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("writers and readers do not all work after %s", settling)
		}
	}
	return nil
}

// startPostgres starts PostgreSQL with a database that can be broken.
func (r *run) startPostgres(ctx context.Context) (err error) {
	if r.cluster, err = newCluster(filepath.Join(r.dir, "postgres"), r.config.DiskSize); err != nil {
		return err
	}
	if err := r.cluster.create(ctx); err != nil {
		return err
	}
	if r.report.Machine, err = machine.Describe(ctx, r.cluster.dsn()); err != nil {
		return err
	}
	r.report.Machine.Command = r.config.Command
	if err := r.prepareDatabase(ctx); err != nil || r.config.Deliverers == 0 {
		return err
	}
	if r.receiver, err = startReceiver(r.config.Seed); err != nil {
		return err
	}
	return r.subscribe(ctx)
}

// startServers starts PostgreSQL and the servers, and makes the other processes.
func (r *run) startServers(ctx context.Context) error {
	if err := r.startPostgres(ctx); err != nil {
		return err
	}
	if err := r.makeProcesses(); err != nil {
		return err
	}
	for _, p := range r.ofRole(roleServer) {
		if err := p.start(); err != nil {
			return err
		}
	}
	return r.awaitFresh(ctx)
}

// breakThings carries the plan out, and waits then until the writers have
// acknowledged what they were to: on a slow machine for twice the time again.
func (r *run) breakThings(ctx context.Context) {
	r.note("%d faults in %s, seed %d", len(r.plan), r.config.Duration, r.config.Seed)
	var held sync.WaitGroup
	defer held.Wait()
	ctx, release := context.WithCancel(ctx)
	defer release()
	for name, sql := range sessions {
		held.Go(func() { r.hold(ctx, name, sql) })
	}
	held.Go(func() { r.resumeStopped(ctx) })
	begin := time.Now()
	r.injector.carryOut(ctx, r.plan)
	wait(ctx, time.Until(begin.Add(r.config.Duration)))
	for time.Since(begin) < r.config.Duration*3 && r.head(ctx) < int64(r.config.Events)*21/20 {
		wait(ctx, 250*time.Millisecond)
	}
}

// problem notes what the harness could not do.
func (r *run) problem(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, err)
}

// count counts something that the report names.
func (r *run) count(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[what]++
}

// note says what happens.
func (r *run) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.config.Log, "[%6.2fs] %s\n", time.Since(r.begun).Seconds(), fmt.Sprintf(format, args...))
}

// close ends whatever still runs.
func (r *run) close() error {
	var errs []error
	for _, f := range append(r.extra, &r.fleet) {
		errs = append(errs, f.close())
	}
	for _, c := range append(r.copies, r.cluster) {
		if c != nil {
			errs = append(errs, c.close())
		}
	}
	if r.receiver != nil {
		errs = append(errs, r.receiver.close())
	}
	for _, port := range r.ports {
		errs = append(errs, port.Close())
	}
	return errors.Join(errs...)
}
