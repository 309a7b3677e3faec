package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
)

// adoption is what db adopt prints, as JSON.
type adoption struct {
	Incarnation int64 `json:"incarnation"`
	LastCommon  int64 `json:"last_common_position"`
}

func (prog *Program) dbAdopt(d *database) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Take appends again after the database was restored, copied or failed over",
		Long: `Take appends again after the database was restored, copied or failed over.

A log that finds itself in another database than the one it was written in refuses appends: events
that were acknowledged there may be missing here, and two copies that both take appends cannot be
brought together again. Adopting says that this copy is the log from now on. It begins a new
incarnation of the log at its present end; consumers that had read further are told so, with the
last position that both have in common, and subscriptions that had gone further go back to it. A
log that is adopted already stays as it is.

Make sure first that nobody writes to another copy. Afterwards restart every {program} serve that runs on
this database: what it remembers of the log may be lost, so it takes no commands.`,
		Args: NoArgs,
	}
	out := OutputFlag(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dsn, err := d.locateOwn(cmd.Context())
		if err != nil {
			return err
		}
		consequence := fmt.Sprintf("schema %s of database %s becomes the only copy of its log that counts", d.schema, describe(dsn))
		if err := prog.confirm(cmd.Context(), yes, consequence); err != nil {
			return err
		}
		return d.withLog(cmd.Context(), app.Options{}, func(s *app.Service) error {
			incarnation, lastCommon, err := s.Postgres.Adopt(cmd.Context())
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, adoption{incarnation, lastCommon}, func(w io.Writer) {
				fmt.Fprintf(w, "the log goes on here, incarnation %d; it shares positions up to %d with the one before\n", incarnation, lastCommon)
				fmt.Fprintf(w, "restart every %s serve that has been running on this database; until then it takes no commands\n", prog.App.ProgramName())
			})
		})
	}
	return cmd
}
