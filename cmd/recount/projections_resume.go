package main

import "github.com/spf13/cobra"

func (a *app) projectionsResume(d *database) *cobra.Command {
	return a.projectionsSteer(d, &cobra.Command{
		Use:   "resume NAME|--all",
		Short: "Let a projection go on that was paused, or has stopped on an event",
	}, false, operator.Resume)
}
