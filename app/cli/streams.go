package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/eventstore"
)

func (prog *Program) streamsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "streams", Short: "Look at streams"}
	d := prog.databaseFlags(cmd, "that of the running {program} dev")
	return Group(cmd, prog.streamsShow(d), prog.streamsState(d), prog.streamsDiff(d))
}

// explainMissing adds to the absence of a stream where to look for it.
func (d *database) explainMissing(cmd *cobra.Command, stream string, err error) error {
	if errors.Is(err, eventstore.ErrStreamNotFound) || errors.Is(err, eventstore.ErrStreamDeleted) {
		return &Failure{ExitNotFound, err, "what was deleted is still in the log: {program} log tail --from 1 --prefix " + hint.Quote(stream) + d.flags(cmd)}
	}
	return err
}
