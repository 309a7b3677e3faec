package cli

import (
	"github.com/spf13/cobra"
)

func (prog *Program) openAPICommand() *cobra.Command {
	return &cobra.Command{
		Use:   "openapi",
		Short: "Print the OpenAPI document of the HTTP API",
		Long: `Print the OpenAPI 3.1 document of the HTTP API, which a server has at /openapi.json: routes, bodies,
parameters, problems and events. No database is needed.`,
		Args: NoArgs,
		RunE: func(*cobra.Command, []string) error {
			document, err := prog.App.OpenAPI()
			if err != nil {
				return err
			}
			_, err = prog.Stdout.Write(document)
			return err
		},
	}
}
