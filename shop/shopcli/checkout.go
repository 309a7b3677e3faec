package shopcli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/shop/checkout"
	"github.com/57528e99/recount/shop/payment"
	"github.com/57528e99/recount/shop/payment/gateway"
	"github.com/57528e99/recount/shop/payment/gateway/simulator"
)

// Ways to check orders out.
const (
	checkoutNone         = "none"
	checkoutOrchestrated = "orchestrated"
)

// checkoutFlags adds the flag that says how orders are checked out. The gateway of dev is a simulator, which keeps what it did beside the
// database; serve has none.
func checkoutFlags(flags *pflag.FlagSet, dev bool) func(dataDir string) (app.App, func() error, error) {
	way := flags.String("checkout", checkoutNone, "how orders are checked out: none (somebody confirms them), orchestrated (by a saga)")
	cli.FromEnv(flags, "checkout")
	return func(dataDir string) (app.App, func() error, error) {
		nothing := func() error { return nil }
		switch {
		case *way == checkoutNone:
			return shop.App(), nothing, nil
		case *way != checkoutOrchestrated:
			return app.App{}, nothing, &cli.Failure{Code: cli.ExitUsage, Err: fmt.Errorf("unknown --checkout %q", *way), Advice: "there are none and orchestrated"}
		case !dev:
			return app.App{}, nothing, &cli.Failure{Code: cli.ExitUsage, Err: errors.New("--checkout orchestrated needs a payment gateway, and this program has none but the simulator of dev"),
				Advice: "try it with {program} dev --checkout orchestrated; a program with a gateway of its own runs shop.WithCheckout"}
		}
		return simulated(dataDir)
	}
}

func orchestrated(g gateway.Gateway) app.App {
	return shop.WithCheckout(checkout.Orchestrated(checkout.Config{Payments: payment.Service{Gateway: g}}))
}

// simulated returns the shop with a gateway that takes no money. An amount that ends in 91 to 96 meets a fault, see simulator.ByAmount.
func simulated(dataDir string) (_ app.App, closeFile func() error, err error) {
	c := simulator.Config{Plan: simulator.ByAmount(func(gateway.Operation, gateway.Request, int) simulator.Fault { return simulator.None })}
	closeFile = func() error { return nil }
	if dataDir != "" {
		if err := os.MkdirAll(dataDir, 0o700); err != nil {
			return app.App{}, closeFile, err
		}
		file, past, err := simulator.OpenFile(filepath.Join(dataDir, "payment-gateway.jsonl"))
		if err != nil {
			return app.App{}, closeFile, err
		}
		c.Keep, c.Past, closeFile = file.Keep, past, file.Close
	}
	a := orchestrated(simulator.New(c))
	a.Welcome = shop.WelcomeToCheckout
	return a, closeFile, nil
}
