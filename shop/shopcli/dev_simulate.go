package shopcli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/shop/simulation"
)

const simulateFlag = "simulate"

// devSimulate adds the flags that let the shop live.
func (prog program) devSimulate(flags *pflag.FlagSet) func(context.Context, cli.DevServer) error {
	var c simulation.Config
	flags.Var((*rate)(&c.Rate), simulateFlag, "let the shop live, with so many orders a second (they are checked out, see --checkout); 0: not")
	flags.Uint64Var(&c.Seed, "simulate-seed", 1, "which of the many lives that a shop could have --simulate is")
	cli.FromEnv(flags, simulateFlag)
	cli.FromEnv(flags, "simulate-seed")
	return func(ctx context.Context, at cli.DevServer) error {
		if c.Rate == 0 {
			return nil
		}
		c.Report = func(r simulation.Report) { fmt.Fprintf(prog.Stderr, "simulate: %v\n", r) }
		if err := simulation.Run(ctx, at.Service, c); err != nil {
			return fmt.Errorf("simulate: %w", err)
		}
		return nil
	}
}

// simulates reports whether the flags ask for it.
func simulates(flags *pflag.FlagSet) bool {
	f := flags.Lookup(simulateFlag)
	return f != nil && f.Value.String() != "0"
}

// rate is a flag that takes how often something is to be in a second.
type rate float64

// String implements pflag.Value.
func (r *rate) String() string { return strconv.FormatFloat(float64(*r), 'g', -1, 64) }

// Type implements pflag.Value.
func (r *rate) Type() string { return "rate" }

const maxRate = 1000

// Set implements pflag.Value.
func (r *rate) Set(value string) error {
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || !(v == 0 || v >= 0.01 && v <= maxRate) {
		return errors.New("must be a number from 0.01 to 1000, or 0")
	}
	*r = rate(math.Abs(v)) // -0 is 0
	return nil
}
