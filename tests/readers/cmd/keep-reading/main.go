// Keep-reading reads read models of a running server until it is interrupted, and ends with 1 if a
// read failed or saw less than one before it:
//
//	keep-reading -server http://127.0.0.1:8080 -database postgres://… -views orders,stock_levels
//
// With -digest it prints a digest of all rows of each read model instead, once.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/tests/readers"
)

func main() {
	var c readers.Config
	flag.StringVar(&c.Server, "server", "", "address of the server")
	flag.StringVar(&c.Database, "database", "", "address of its database")
	flag.StringVar(&c.Schema, "schema", "recount", "schema of the read models")
	views := flag.String("views", "", "read models, separated by commas")
	digest := flag.Bool("digest", false, "print digests of the read models, and nothing else")
	flag.Parse()
	c.Views = strings.Split(*views, ",")

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := watch
	if *digest {
		run = digests
	}
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "keep-reading:", err)
		os.Exit(1)
	}
}

func watch(ctx context.Context, c readers.Config) error {
	report, err := readers.Watch(ctx, c)
	for _, name := range slices.Sorted(maps.Keys(report)) {
		fmt.Printf("%6d  %s\n", report[name], name)
		if err == nil && report[name] == 0 {
			err = fmt.Errorf("%s was never read", name)
		}
	}
	return err
}

func digests(ctx context.Context, c readers.Config) error {
	conn, err := pgx.Connect(ctx, c.Database)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, view := range c.Views {
		d, err := readers.Digest(ctx, conn, c.Schema, view)
		if err != nil {
			return err
		}
		fmt.Println(view, d)
	}
	return nil
}
