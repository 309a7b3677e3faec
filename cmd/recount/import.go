package main

import "github.com/spf13/cobra"

func (a *app) importCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "import", Short: "Load data into a running server"}
	return group(cmd, a.importOnlineRetail())
}
