package cli

import "github.com/spf13/cobra"

func (prog *Program) mailCommand() *cobra.Command {
	return Group(&cobra.Command{Use: "mail", Short: "Try the mails of subscriptions"}, prog.mailPreview())
}
