package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/eventstore"
)

func (a *app) streamsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "streams", Short: "Look at streams"}
	d := databaseFlags(cmd, "that of the running recount dev")
	return group(cmd, a.streamsShow(d), a.streamsState(d), a.streamsDiff(d))
}

// explainMissing adds to the absence of a stream where to look for it.
func (d *database) explainMissing(stream string, err error) error {
	if errors.Is(err, eventstore.ErrStreamNotFound) || errors.Is(err, eventstore.ErrStreamDeleted) {
		return &failure{exitNotFound, err, "what was deleted is still in the log: recount log tail --from 1 --prefix " + hint.Quote(stream) + hint.SchemaFlag(d.schema)}
	}
	return err
}
