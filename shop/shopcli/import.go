package shopcli

import (
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app/cli"
)

func (prog program) importCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "import", Short: "Load data into a running server"}
	return cli.Group(cmd, prog.importOnlineRetail())
}
