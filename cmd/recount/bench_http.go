package main

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (a *app) benchHTTP() *cobra.Command {
	b := bench.HTTP{Serve: serveForBench}
	cmd := &cobra.Command{
		Use:   "http",
		Short: "Measure the shop over HTTP",
		Long: `Measure the shop over HTTP, server and client in one process:
  POST order  places an order, with an idempotency key
  insert      a bare INSERT and commit by the driver
  GET order   reads an order
  select row  reads its row by the driver`,
	}
	o := benchFlags(cmd, &b.Duration, 10*time.Second, "how long to measure each contender with each number of connections")
	cmd.Flags().IntSliceVar(&b.Connections, "connections", []int{64}, "how many connections send requests, each one at a time")
	cmd.Flags().IntVar(&b.Orders, "orders", 5000, "how many orders there are to begin with")
	cmd.Flags().BoolVar(&b.CommandsOnly, "commands-only", false, "run no read models, and read nothing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runBench(cmd, o, b) }
	return cmd
}

// serveForBench starts what dev runs, on the log of a benchmark.
func serveForBench(ctx context.Context, dsn, schema string, readModels bool) (url string, stop func() error, err error) {
	ln, err := listen("127.0.0.1:0", "--listen")
	if err != nil {
		return "", nil, err
	}
	roles := []string{roleAPI}
	if readModels {
		roles = append(roles, roleProjections)
	}
	b, err := openBackend(ctx, backendConfig{dsn: dsn, schema: schema, roles: roles, maxConns: 20, logger: zerolog.Nop()})
	if err != nil {
		return "", nil, errors.Join(err, ln.Close())
	}
	serving, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- b.serve(serving, ln, nil) }()
	return urlOf(ln), func() error {
		cancel()
		return errors.Join(<-served, b.close(ctx))
	}, nil
}
