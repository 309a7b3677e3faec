// Package shopcli adds to the command line of the shop: imports, made-up orders and a
// simulation for development, and how orders are checked out.
package shopcli

import (
	"context"
	"errors"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/shop/checkout"
)

// Extension returns what the shop adds.
func Extension() cli.Extension {
	paying := new(simulatedGateway)
	return cli.Extension{
		Commands: func(prog *cli.Program) []*cobra.Command { return []*cobra.Command{program{prog}.importCommand()} },
		Dev: func(prog *cli.Program, flags *pflag.FlagSet) func(context.Context, cli.DevServer) error {
			seed, simulate := program{prog}.devSeed(flags), program{prog}.devSimulate(flags)
			return func(ctx context.Context, at cli.DevServer) error {
				var all sync.WaitGroup
				var errs [3]error
				for i, do := range []func(context.Context, cli.DevServer) error{seed, simulate, paying.callBack} {
					all.Go(func() { errs[i] = do(ctx, at) })
				}
				all.Wait()
				return errors.Join(errs[:]...)
			}
		},
		App: &cli.Variants{Flags: paying.checkoutFlags, Most: withCheckout(checkout.All, nil)},
	}
}

type program struct{ *cli.Program }
