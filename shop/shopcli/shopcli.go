// Package shopcli adds to the command line of the shop: imports, made-up orders for
// development, and how orders are checked out.
package shopcli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/shop/checkout"
)

// Extension returns what the shop adds.
func Extension() cli.Extension {
	return cli.Extension{
		Commands: func(prog *cli.Program) []*cobra.Command { return []*cobra.Command{program{prog}.importCommand()} },
		Dev: func(prog *cli.Program, flags *pflag.FlagSet) func(context.Context, string) error {
			return program{prog}.devSeed(flags)
		},
		App: &cli.Variants{Flags: checkoutFlags, Most: withCheckout(checkout.All, nil)},
	}
}

type program struct{ *cli.Program }
