package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (prog *Program) commandsShow() *cobra.Command {
	var c operationsClient
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Print the route of a command, and the members of its body",
		Example: "  {program} commands show order.place",
		Args:    OneArg("command"),
	}
	out := OutputFlag(cmd)
	c.flags(prog, cmd.Flags(), "address of the server")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		all, err := c.commands(cmd.Context())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(c command) bool { return c.Name == args[0] })
		if i < 0 {
			return &Failure{ExitNotFound, fmt.Errorf("the server has no command %q", args[0]), "{program} commands ls lists them"}
		}
		return out.Print(prog.Stdout, all[i], func(w io.Writer) {
			fmt.Fprintf(w, "%s %s\n\nMEMBER\tTYPE\n", all[i].Method, all[i].Path)
			printMembers(w, all[i].Body, 0)
		})
	}
	return cmd
}

func printMembers(w io.Writer, all []member, depth int) {
	for _, m := range all {
		fmt.Fprintf(w, "%s%s\t%s\n", strings.Repeat("  ", depth), m.Name, m.Type)
		printMembers(w, m.Members, depth+1)
	}
}
