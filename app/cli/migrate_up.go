package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"
)

func (prog *Program) migrateUp(d *migrating) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Take the tables to the version of this program",
		Args:  NoArgs,
	}
	out := OutputFlag(cmd)
	cmd.RunE = d.located(func(ctx context.Context, dsn string) error {
		sets, err := d.sets()
		if err != nil {
			return err
		}
		if err := prog.App.CheckLog(ctx, dsn, d.schema); err != nil {
			return err
		}
		var done move
		for i, set := range sets {
			moved, err := set.Up(ctx, dsn, d.schema)
			if err != nil {
				return err
			}
			if i == 0 {
				done = move{From: moved.From, To: moved.To}
				continue
			}
			if done.Modules == nil {
				done.Modules = make(map[string]move)
			}
			done.Modules[set.Module()] = move{From: moved.From, To: moved.To}
		}
		return out.Print(prog.Stdout, done, func(w io.Writer) {
			fmt.Fprintln(w, done)
			for _, name := range slices.Sorted(maps.Keys(done.Modules)) {
				fmt.Fprintf(w, "module %s: %s\n", name, done.Modules[name])
			}
		})
	})
	return cmd
}
