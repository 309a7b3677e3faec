// Mutants builds the product with each bug of package mutants, one after the other, and says by
// which rule it was caught and how soon: see package trials.
//
//	go run ./tests/trials/cmd/mutants [-o docs/reliability.md] [-random 10s [-seed 1]] [mutant ...]
//
// With -random it puts some of them into runs of the random harness instead, of that length each.
//
// It exits with 0 if all were caught, and nothing without them; with 1 if not; with 2 if it could
// not tell.
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

	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/tests/chaos"
	"github.com/57528e99/recount/tests/mutants"
	"github.com/57528e99/recount/tests/trials"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	page := flag.String("o", "", "the page whose table to replace (default: print it)")
	random := flag.Duration("random", 0, "use the random harness, for that long with each mutant")
	seed := flag.Uint64("seed", 1, "the seed of the random harness")
	flag.Parse()
	ok, err := run(ctx, *page, *random, *seed, flag.Args())
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	case !ok:
		os.Exit(1)
	}
}

func run(ctx context.Context, page string, random time.Duration, seed uint64, names []string) (ok bool, err error) {
	if page != "" && len(names) > 0 {
		return false, errors.New("a page has the table of all mutants: name none with -o")
	}
	some, err := mutants.All()
	if err == nil && len(names) > 0 {
		some, err = mutants.Named(names...)
	}
	if err != nil {
		return false, err
	}
	place := trials.TablePlace
	var table []byte
	if random != 0 {
		place = trials.RandomTablePlace
		some = slices.DeleteFunc(some, func(m mutants.Mutant) bool { return !m.Harness })
		table, ok, err = atRandom(ctx, some, seed, random)
	} else {
		table, ok, err = scenarios(ctx, some)
	}
	if err != nil {
		return false, err
	}
	if page != "" {
		return ok, chaos.Replace(page, place, table)
	}
	_, err = os.Stdout.Write(table)
	return ok, err
}

// scenarios runs the scenario of each mutant.
func scenarios(ctx context.Context, some []mutants.Mutant) (table []byte, ok bool, err error) {
	dir, err := os.MkdirTemp("", "recount-mutants-*")
	if err != nil {
		return nil, false, err
	}
	defer os.RemoveAll(dir)
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
	for _, m := range some {
		r, err := t.Run(ctx, server.DSN("postgres"), m)
		if err != nil {
			return nil, false, err
		}
		fmt.Fprintln(os.Stderr, r)
		ok = ok && r.OK()
		results = append(results, r)
	}
	return trials.Table(results), ok, nil
}

// atRandom runs the random harness with each mutant.
func atRandom(ctx context.Context, some []mutants.Mutant, seed uint64, duration time.Duration) (table []byte, ok bool, err error) {
	ok = true
	var all []trials.Found
	for _, m := range some {
		found, err := trials.RunRandomly(ctx, m, seed, duration)
		if err != nil {
			return nil, false, err
		}
		fmt.Fprintln(os.Stderr, found)
		ok = ok && len(found.Rules) > 0
		all = append(all, found)
	}
	return trials.RandomTable(all), ok, nil
}
