package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/sagas"
)

func (prog *Program) sagasDiagram(d *database) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "diagram SAGA [ID]",
		Short:   "Draw a saga, or how far an instance has come",
		Example: "  {program} sagas diagram checkout > checkout.svg\n  {program} sagas diagram checkout 1004 --format mermaid",
		Args:    ArgsBetween(1, 2),
	}
	target := targetFlags(cmd, d)
	cmd.Flags().StringVar(&format, "format", "svg", "svg, or mermaid for a flowchart as text")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if format != "svg" && format != "mermaid" {
			return UsageError(cmd, "--format is svg or mermaid, not %q", format)
		}
		if len(args) == 1 {
			return prog.drawSaga(args[0], nil, format)
		}
		return target.withSagas(cmd.Context(), func(op sagaOperator) error {
			found, err := op.Show(cmd.Context(), args[0], args[1], 0)
			if err != nil {
				return err
			}
			return prog.drawSaga(args[0], &found.Instance, format)
		})
	}
	return cmd
}

// drawSaga prints the newest definition of a name, or that of an instance's version.
func (prog *Program) drawSaga(name string, i *sagas.Instance, format string) error {
	codec, err := prog.App.Codec()
	if err != nil {
		return err
	}
	var found *sagas.Saga
	for _, s := range prog.App.Sagas() {
		if s.Name() == name && (i != nil && i.Version == s.Version() || i == nil && (found == nil || s.Version() > found.Version())) {
			found = s.In(codec)
		}
	}
	switch {
	case found == nil && i != nil:
		return &sagas.NoVersionError{Saga: name, Version: i.Version}
	case found == nil:
		return &eventstore.InvalidError{Field: "saga", Reason: fmt.Sprintf("is %q, which this program has not: it has %q", name, sagas.Names(prog.App.Sagas()))}
	case format == "mermaid":
		_, err = fmt.Fprint(prog.Stdout, found.Mermaid(i))
	default:
		_, err = fmt.Fprint(prog.Stdout, found.SVG(i))
	}
	return err
}
