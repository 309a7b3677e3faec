package app_test

import (
	"context"
	"log"
	"net"
	"os/signal"
	"syscall"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/migrations"
)

// A main of one's own, without a command line.
func Example() {
	wallet := app.App{Name: "wallet", Modules: []app.Module{purses()}}
	run := func(dsn string) error {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if _, err := migrations.Up(ctx, dsn, migrations.DefaultSchema); err != nil {
			return err
		}
		service, err := app.Open(ctx, wallet, app.Options{DSN: dsn})
		if err != nil {
			return err
		}
		defer service.Close(ctx)
		if err := service.Start(ctx); err != nil {
			return err
		}
		ln, err := net.Listen("tcp", "127.0.0.1:8080")
		if err != nil {
			return err
		}
		return service.Serve(ctx, ln, nil)
	}
	if err := run("postgres:///wallet"); err != nil {
		log.Fatal(err)
	}
}
