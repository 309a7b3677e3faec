package cli

import "github.com/spf13/cobra"

func (prog *Program) projectionsResume(d *database) *cobra.Command {
	return prog.projectionsSteer(d, &cobra.Command{
		Use:   "resume NAME|--all",
		Short: "Let a projection go on that was paused, or has stopped on an event",
	}, false, operator.Resume)
}
