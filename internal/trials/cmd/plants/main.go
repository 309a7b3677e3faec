// Plants plants every fault that package failpoint knows, one after the other, and says by which rule
// it was caught and how soon: see package trials.
//
//	go run ./internal/trials/cmd/plants [-o docs/reliability.md] [fault ...]
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

	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/trials"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	page := flag.String("o", "", "the page whose table to replace (default: print it)")
	flag.Parse()
	ok, err := run(ctx, *page, flag.Args())
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "plants:", err)
		os.Exit(2)
	case !ok:
		os.Exit(1)
	}
}

func run(ctx context.Context, page string, names []string) (ok bool, err error) {
	if page != "" && len(names) > 0 {
		return false, errors.New("a page has the table of all faults: name none with -o")
	}
	faults, err := chosen(names)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "recount-plants-*")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	t, err := trials.Build(ctx, dir)
	if err != nil {
		return false, err
	}
	server, err := pgembed.Start(ctx, pgembed.Config{Fresh: true, Test: true})
	if err != nil {
		return false, err
	}
	defer func() {
		if stopErr := server.Stop(); err == nil {
			err = stopErr
		}
	}()
	ok = true
	var results []trials.Result
	for _, f := range faults {
		r, err := t.Run(ctx, server.DSN("postgres"), f)
		if err != nil {
			return false, err
		}
		fmt.Fprintln(os.Stderr, r)
		ok = ok && r.OK()
		results = append(results, r)
	}
	if page == "" {
		_, err = os.Stdout.Write(trials.Table(results))
		return ok, err
	}
	return ok, trials.Replace(page, results)
}

// chosen returns the faults of those names, or all.
func chosen(names []string) ([]failpoint.FaultInfo, error) {
	all := failpoint.Faults()
	if len(names) == 0 {
		return all, nil
	}
	var some []failpoint.FaultInfo
	for _, name := range names {
		i := slices.IndexFunc(all, func(f failpoint.FaultInfo) bool { return string(f.Name) == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no fault %q", name)
		}
		some = append(some, all[i])
	}
	return some, nil
}
