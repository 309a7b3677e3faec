package shopcli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/shop/onlineretail"
	"github.com/57528e99/recount/shop/sample"
)

const seedFlag = "seed"

// devSeed adds the flags that make orders up.
func (prog program) devSeed(flags *pflag.FlagSet) func(context.Context, cli.DevServer) error {
	wanted := flags.Bool(seedFlag, false, "load made-up orders, unless they are there already")
	orders := number(100)
	flags.Var(&orders, "seed-orders", "how many orders --seed makes up")
	cli.FromEnv(flags, seedFlag)
	cli.FromEnv(flags, "seed-orders")
	return func(ctx context.Context, at cli.DevServer) error {
		if !*wanted {
			return nil
		}
		return prog.seed(ctx, at.URL, int(orders))
	}
}

// seeds reports whether the flags ask for it.
func seeds(flags *pflag.FlagSet) bool {
	f := flags.Lookup(seedFlag)
	return f != nil && f.Value.String() == "true"
}

// number is a flag that takes a number from 1.
type number int

// String implements pflag.Value.
func (n *number) String() string { return strconv.Itoa(int(*n)) }

// Type implements pflag.Value.
func (n *number) Type() string { return "int" }

// Set implements pflag.Value.
func (n *number) Set(value string) error {
	v, err := strconv.Atoi(value)
	if err != nil || v < 1 {
		return errors.New("must be a whole number, 1 or more")
	}
	*n = number(v)
	return nil
}

// seed loads made-up orders into the server of this process, by way of its commands. They are the
// same on every start, so those that are there already change nothing: by their idempotency keys,
// and once those have expired because the first order, which goes alone, is there.
func (prog program) seed(ctx context.Context, url string, orders int) error {
	var file bytes.Buffer
	if err := sample.Generate(&file, sample.Config{Orders: orders}); err != nil {
		return fmt.Errorf("make orders up: %w", err)
	}
	book, err := onlineretail.Read(&file)
	if err != nil {
		return fmt.Errorf("read made-up orders: %w", err)
	}
	_, err = prog.load(ctx, onlineretail.Config{Server: url, KeyPrefix: "sample"}, "seed", book)
	var refused *onlineretail.RefusedError
	switch {
	case errors.As(err, &refused) && refused.Problem.Code == "order-exists":
		fmt.Fprintln(prog.Stderr, "seed: the made-up orders are there already")
		return nil
	case errors.As(err, &refused):
		err = cli.Fail(cli.ExitConflict, err, "were other orders made up here before? begin anew with --fresh or another --data, or keep to the same --seed-orders")
	}
	if err != nil && cli.ExitCode(err) != cli.ExitInterrupted {
		return fmt.Errorf("load made-up orders: %w", err)
	}
	return nil
}
