package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (prog *Program) commandsList() *cobra.Command {
	var c operationsClient
	cmd := &cobra.Command{Use: "ls", Short: "List the commands", Args: NoArgs}
	out := OutputFlag(cmd)
	c.flags(prog, cmd.Flags(), "address of the server")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		all, err := c.commands(cmd.Context())
		if err != nil {
			return err
		}
		return out.Print(prog.Stdout, listOf(all), func(w io.Writer) {
			fmt.Fprintln(w, "NAME\tROUTE")
			for _, c := range all {
				fmt.Fprintf(w, "%s\t%s %s\n", c.Name, c.Method, c.Path)
			}
		})
	}
	return cmd
}
