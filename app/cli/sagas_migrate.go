package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/sagas"
)

func (prog *Program) sagasMigrate(d *database) *cobra.Command {
	var version int
	cmd := prog.sagasAct(d, sagas.Migrate, &cobra.Command{
		Use:   "migrate SAGA ID --to VERSION --reason TEXT",
		Short: "Let an instance go on by another version of its definition",
	}, func(in *sagas.Intervene) error {
		if in.Version = version; version < 1 {
			return errors.New("say by which version it goes on with --to VERSION")
		}
		return nil
	})
	cmd.Flags().IntVar(&version, "to", 0, "version of the definition to go on with")
	return cmd
}
