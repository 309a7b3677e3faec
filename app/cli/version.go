package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
)

func (prog *Program) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which program this is",
		Args:  NoArgs,
	}
	out := OutputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		b := app.BuildOf(prog.App)
		return out.Print(prog.Stdout, b, func(w io.Writer) {
			fmt.Fprintf(w, "version\t%s\n", b.Version)
			if b.Revision != "" {
				fmt.Fprintf(w, "revision\t%s\n", b.Revision)
			}
			fmt.Fprintf(w, "go\t%s\nplatform\t%s\nschema\t%d\n", b.Go, b.Platform, b.Schema)
		})
	}
	return cmd
}
