package shopcli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/shop/checkout"
	"github.com/57528e99/recount/shop/payment"
	"github.com/57528e99/recount/shop/payment/gateway"
	"github.com/57528e99/recount/shop/payment/gateway/simulator"
)

// checkoutNone is the way in which somebody confirms orders.
const checkoutNone = "none"

// ways are the others.
var ways = map[string]func(checkout.Config) app.Module{
	"orchestrated": checkout.Orchestrated, "choreographed": checkout.Choreographed, "hybrid": checkout.Hybrid,
}

// Payments that serve can have.
const (
	paymentsNone      = "none"
	paymentsSimulated = "simulated"
)

// answersFile is where the simulated gateway keeps what it did: beside the database of dev, or where serve is started.
const answersFile = "payment-gateway.jsonl"

// checkoutFlags adds the flags that say how orders are checked out, and for serve who takes the money: dev has a simulator.
func (g *simulatedGateway) checkoutFlags(flags *pflag.FlagSet, dev bool) func(dataDir string) (app.App, func() error, error) {
	way := flags.String("checkout", checkoutNone, "how orders are checked out: none (somebody confirms them), orchestrated (by a process for each), "+
		"choreographed (services react to each other), hybrid (by a process until they are confirmed)")
	cli.FromEnv(flags, "checkout")
	payments := paymentsSimulated
	if !dev {
		flags.StringVar(&payments, "payments", paymentsNone, "payment gateway for --checkout: none, or simulated, which takes no money and keeps what it did in "+
			answersFile+" in the working directory; of all processes one may have it with the role delivery")
		cli.FromEnv(flags, "payments")
	}
	return func(dataDir string) (app.App, func() error, error) {
		nothing := func() error { return nil }
		usage := func(advice, format string, args ...any) (app.App, func() error, error) {
			return app.App{}, nothing, &cli.Failure{Code: cli.ExitUsage, Err: fmt.Errorf(format, args...), Advice: advice}
		}
		if dev && seeds(flags) && flags.Lookup("auth").Value.String() == "tokens" {
			return usage("load them first, without --auth tokens, and start again with --auth tokens and without --seed; or let customers order with --simulate 5",
				"--seed sends requests without a token, which --auth tokens refuses")
		}
		if dev && simulates(flags) {
			if flags.Changed("checkout") && *way == checkoutNone {
				return usage("leave --checkout out", "--simulate needs orders that are checked out, which nobody does with --checkout none")
			}
			if !flags.Changed("checkout") {
				*way = "orchestrated"
			}
		}
		module, ok := ways[*way]
		switch {
		case payments != paymentsNone && payments != paymentsSimulated:
			return usage("there are none and simulated", "unknown --payments %q", payments)
		case *way == checkoutNone:
			return shop.App(), nothing, nil
		case !ok:
			return usage("there are none, orchestrated, choreographed and hybrid", "unknown --checkout %q", *way)
		case payments == paymentsNone:
			return usage("to try it with a gateway that takes no money, add --payments simulated; a program with a gateway of its own runs shop.WithCheckout",
				"--checkout %s needs a payment gateway, and this program has none that takes money", *way)
		}
		if dev && seeds(flags) {
			return usage("leave --seed out and let customers order with --simulate 5, or have somebody confirm orders with --checkout none",
				"--seed confirms and ships the orders that it makes up, which --checkout %s would do too", *way)
		}
		file := answersFile
		if dev && dataDir == "" {
			file = ""
		} else if dev {
			if err := os.MkdirAll(dataDir, 0o700); err != nil {
				return app.App{}, nothing, err
			}
			file = filepath.Join(dataDir, answersFile)
		}
		a, closeFile, err := g.open(module, file)
		if err == nil && dev && simulates(flags) {
			if a, err = shop.WithFlow(a); err != nil {
				return a, nothing, errors.Join(err, closeFile())
			}
		}
		return a, closeFile, err
	}
}

func withCheckout(module func(checkout.Config) app.Module, g gateway.Gateway) app.App {
	return shop.WithCheckout(module(checkout.Config{Payments: payment.Service{Gateway: g}}))
}

// simulatedGateway takes no money.
type simulatedGateway struct{ *simulator.Gateway }

// open returns the shop with the gateway, which keeps what it did in a file, if one is named. An amount that ends in 91 to 96 meets a fault, see
// simulator.ByAmount.
func (g *simulatedGateway) open(module func(checkout.Config) app.Module, name string) (_ app.App, closeFile func() error, err error) {
	c := simulator.Config{
		Plan:     simulator.ByAmount(func(gateway.Operation, gateway.Request, int) simulator.Fault { return simulator.None }),
		Callback: func(ctx context.Context, a gateway.Answer) error { return payment.Record(ctx, app.ServiceOf(ctx), a) },
	}
	closeFile = func() error { return nil }
	if name != "" {
		file, past, err := simulator.OpenFile(name)
		if err != nil {
			return app.App{}, closeFile, err
		}
		c.Keep, c.Past, closeFile = file.Keep, past, file.Close
	}
	g.Gateway = simulator.New(c)
	a := withCheckout(module, g.Gateway)
	a.Welcome = shop.WelcomeToCheckout(len(a.Sagas()) > 0)
	return a, closeFile, nil
}

// callBack gives the answers that come late or twice, until ctx ends. Those that were not given then are lost: who asks again gets them.
func (g *simulatedGateway) callBack(ctx context.Context, at cli.DevServer) error {
	if g.Gateway == nil {
		return nil
	}
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			if _, err := g.Deliver(app.WithService(ctx, at.Service)); err != nil && ctx.Err() == nil {
				at.Service.Logger.Warn().Err(err).Msg("the payment gateway could not call back")
			}
		case <-ctx.Done():
			return nil
		}
	}
}
