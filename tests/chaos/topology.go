package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/57528e99/recount/internal/pgtest/freeport"
	"github.com/57528e99/recount/shop/sample"
	"github.com/57528e99/recount/tests/chaos/work"
)

// names returns the names of all processes there are to be, by role.
func (c *Config) names() map[role][]string {
	names := make(map[role][]string)
	for r, n := range map[role]int{
		roleServer: c.Servers, roleWriter: c.Writers, roleReader: c.Readers,
		roleProjector: c.Projectors, roleClient: c.Clients, roleDeliverer: c.Deliverers, roleImporter: min(c.Orders, 1), roleOperator: min(c.Servers, 1),
	} {
		for i := range n {
			names[r] = append(names[r], fmt.Sprintf("%s-%d", r, i+1))
		}
	}
	if c.Deliverers > 0 {
		names[roleReceiver] = []string{string(roleReceiver)}
		for _, s := range subscriptions {
			names[roleSubscription] = append(names[roleSubscription], s.name)
		}
	}
	return names
}

// snapshots say after how many events servers make them. Clients' orders have one event: each comes
// by a snapshot.
const snapshots = "order=1,stock=2"

// serverRoles are what servers run, one after the other: everything, and the
// parts.
var serverRoles = []string{"api,projections", "api", "projections"}

// rolesOfServer returns what the server of a number, from 1, runs.
func rolesOfServer(number string) string {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		return ""
	}
	return serverRoles[(n-1)%len(serverRoles)]
}

// makeProcesses makes all processes, without starting them.
func (r *run) makeProcesses() error {
	names := r.config.names()
	var urls []string
	for i, name := range names[roleServer] {
		address, err := r.reserve()
		if err != nil {
			return err
		}
		admin, err := r.reserve()
		if err != nil {
			return err
		}
		r.admins[name] = "http://" + admin
		roles := rolesOfServer(strconv.Itoa(i + 1))
		// The last one has a pool that is too small for what it runs.
		conns := "12"
		if i == len(names[roleServer])-1 {
			conns = "2"
		}
		if roles != "projections" {
			urls = append(urls, "http://"+address)
		}
		dsn, err := r.gated(name)
		if err != nil {
			return err
		}
		if err := r.add(name, roleServer, r.config.Recount, "serve", "--database", dsn, "--listen", address,
			"--roles", roles, "--max-connections", conns, "--admin", admin, "--log-level", "warn", "--wait", "60s",
			"--snapshots", snapshots); err != nil {
			return err
		}
	}
	for _, kind := range []role{roleWriter, roleReader, roleProjector, roleClient, roleDeliverer} {
		for i, name := range names[kind] {
			if err := r.addWorker(i, name, kind, urls); err != nil {
				return err
			}
		}
	}
	for _, name := range names[roleImporter] {
		if err := r.addImporter(name, urls[0]); err != nil {
			return err
		}
	}
	for _, name := range names[roleOperator] {
		if err := r.addOperator(name); err != nil {
			return err
		}
	}
	return nil
}

// addOperator makes the process that rebuilds a projection again and again.
func (r *run) addOperator(name string) error {
	dsn, err := r.gated(name)
	if err != nil {
		return err
	}
	if err := r.add(name, roleOperator, r.config.Recount, "projections", "rebuild", "orders", "--database", dsn, "-o", "json"); err != nil {
		return err
	}
	r.processes[name].every = rebuildEvery
	return nil
}

// rebuildEvery is the pause between two rebuilds.
const rebuildEvery = 3 * time.Second

// gated returns an address of the database that leads through a proxy of the
// process's own.
func (r *run) gated(name string) (string, error) {
	g, err := newGate(r.cluster.dsn(), r.injector.struck)
	if err != nil {
		return "", err
	}
	r.gates[name] = g
	return g.proxy.DSN() + "&application_name=" + name, nil
}

func (r *run) add(name string, kind role, command ...string) error {
	p, err := newProcess(r.dir, name, kind, command)
	if err != nil {
		return err
	}
	r.processes[name] = p
	return nil
}

func (r *run) addWorker(i int, name string, kind role, urls []string) error {
	s := work.Spec{Name: name, Kind: work.Kind(kind), Seed: r.config.Seed<<8 + uint64(len(r.processes)), Dir: r.dir, MaxConns: maxConns(kind)}
	switch kind {
	case roleClient:
		s.Servers = urls
	case roleWriter:
		// What is broken costs time: aim higher than what is needed.
		s.Rate = 1.6 * float64(r.config.Events) / r.config.Duration.Seconds() / float64(r.config.Writers)
		if i == r.config.Writers-1 && i > 0 {
			s.MaxConns = 1
		}
	case roleReader:
		if i%3 == 2 {
			s.Categories = filteredCategories
		}
	}
	if kind != roleClient {
		var err error
		if s.DSN, err = r.gated(name); err != nil {
			return err
		}
	}
	spec, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if s.Categories != nil {
		r.filtered = append(r.filtered, name)
	}
	return r.add(name, kind, r.config.Worker, "work", string(spec))
}

// filteredCategories are what some readers read of the log.
var filteredCategories = []string{"hot", "own"}

// addImporter makes the importer and the file that it imports.
func (r *run) addImporter(name, url string) (err error) {
	path := filepath.Join(r.dir, "orders.csv")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := sample.Generate(file, sample.Config{Seed: r.config.Seed, Orders: r.config.Orders, MaxLines: 40}); err != nil {
		return fmt.Errorf("make orders up: %w", err)
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := r.add(name, roleImporter, r.config.Recount, "import", "online-retail", path, "--server", url, "--concurrency", "4", "-o", "json"); err != nil {
		return err
	}
	r.processes[name].done = true
	return nil
}

// reserve returns a local address that nobody is given until the run ends: servers keep theirs over
// restarts.
func (r *run) reserve() (address string, err error) {
	port, err := freeport.Reserve()
	if err != nil {
		return "", err
	}
	r.ports = append(r.ports, port)
	return port.Address(), nil
}
