// Plants plants every fault that package failpoint knows, one after the other, and says by which rule
// it was caught and how soon: see package trials.
//
//	go run ./tests/trials/cmd/plants [-o docs/reliability.md] [-random 10s [-seed 1]] [fault ...]
//
// With -random it plants some of them in runs of the random harness instead, of that length each.
//
// It exits with 0 if all were caught, and nothing without them; with 1 if not; with 2 if it could not
// tell.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/tests/trials"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	page := flag.String("o", "", "the page whose table to replace (default: print it)")
	random := flag.Duration("random", 0, "use the random harness, for that long with each fault")
	seed := flag.Uint64("seed", 1, "the seed of the random harness")
	flag.Parse()
	ok, err := run(ctx, *page, *random, *seed, flag.Args())
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "plants:", err)
		os.Exit(2)
	case !ok:
		os.Exit(1)
	}
}

func run(ctx context.Context, page string, random time.Duration, seed uint64, names []string) (ok bool, err error) {
	if page != "" && len(names) > 0 {
		return false, errors.New("a page has the table of all faults: name none with -o")
	}
	dir, err := os.MkdirTemp("", "recount-plants-*")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	place, all := trials.TablePlace, failpoint.Faults()
	if random != 0 {
		place, all = trials.RandomTablePlace, trials.Randomly()
	}
	faults, err := chosen(all, names)
	if err != nil {
		return false, err
	}
	var table []byte
	if random != 0 {
		table, ok, err = atRandom(ctx, dir, faults, seed, random)
	} else {
		table, ok, err = scenarios(ctx, dir, faults)
	}
	if err != nil {
		return false, err
	}
	if page != "" {
		return ok, trials.Replace(page, place, table)
	}
	_, err = os.Stdout.Write(table)
	return ok, err
}

// scenarios runs the scenario of each fault.
func scenarios(ctx context.Context, dir string, faults []failpoint.FaultInfo) (table []byte, ok bool, err error) {
	t, err := trials.Build(ctx, dir)
	if err != nil {
		return nil, false, err
	}
	server, err := pgembed.Start(ctx, pgembed.Config{Fresh: true, Test: true})
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	ok = true
	var results []trials.Result
	for _, f := range faults {
		r, err := t.Run(ctx, server.DSN("postgres"), f)
		if err != nil {
			return nil, false, err
		}
		fmt.Fprintln(os.Stderr, r)
		ok = ok && r.OK()
		results = append(results, r)
	}
	return trials.Table(results), ok, nil
}

// atRandom runs the random harness with each fault.
func atRandom(ctx context.Context, dir string, faults []failpoint.FaultInfo, seed uint64, duration time.Duration) (table []byte, ok bool, err error) {
	h, err := trials.BuildHarness(ctx, dir)
	if err != nil {
		return nil, false, err
	}
	ok = true
	var all []trials.Found
	for _, f := range faults {
		found, err := h.Run(ctx, f, seed, duration)
		if err != nil {
			return nil, false, err
		}
		fmt.Fprintln(os.Stderr, found)
		ok = ok && len(found.Rules) > 0
		all = append(all, found)
	}
	return trials.RandomTable(all), ok, nil
}

// chosen returns those faults that are named, or all.
func chosen(all []failpoint.FaultInfo, names []string) ([]failpoint.FaultInfo, error) {
	if len(names) == 0 {
		return all, nil
	}
	var some []failpoint.FaultInfo
	for _, name := range names {
		i := slices.IndexFunc(all, func(f failpoint.FaultInfo) bool { return string(f.Name) == name })
		if i < 0 {
			return nil, fmt.Errorf("%q is none of the faults to plant here", name)
		}
		some = append(some, all[i])
	}
	return some, nil
}
