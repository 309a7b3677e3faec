package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
)

// streamState is the state of a stream as JSON.
type streamState struct {
	Stream  string          `json:"stream"`
	Version int64           `json:"version"`
	State   json.RawMessage `json:"state"`
}

// loadState returns a state; a stream that did not exist then is not found.
func (d *database) loadState(cmd *cobra.Command, c *app.Commands, stream string, at commands.Moment) (streamState, error) {
	state, version, err := c.State(cmd.Context(), stream, at)
	switch {
	case err == nil && version < 0 && at == commands.Moment{}:
		err = fmt.Errorf("stream %q: %w", stream, eventstore.ErrStreamNotFound)
	case err == nil && version < 0:
		err = fmt.Errorf("stream %q at that moment: %w", stream, eventstore.ErrStreamNotFound)
	}
	if errors.Is(err, eventstore.ErrInvalid) {
		return streamState{}, &Failure{ExitUsage, err, "the stream of an aggregate is named by its category and its id, such as order-42"}
	}
	if err != nil {
		return streamState{}, d.explainMissing(cmd, stream, err)
	}
	data, err := json.Marshal(state)
	return streamState{stream, version, data}, err
}

func (prog *Program) streamsState(d *database) *cobra.Command {
	var version int64
	var at string
	cmd := &cobra.Command{
		Use:   "state STREAM",
		Short: "Print the state of an aggregate, as it is or as it was",
		Long: `Print the state of an aggregate, as commands see it: now, at a version of its stream, or at a time.
The time is that at which events were recorded, by the clock of the log, not the business time in
them. What a deletion or the stream's metadata hides takes no part.`,
		Example: "  {program} streams state order-42\n  {program} streams state order-42 --at-version 0\n  {program} streams state stock-85123A --at-time 2026-01-31T23:59:59Z",
		Args:    OneArg("stream"),
	}
	out := OutputFlag(cmd)
	cmd.Flags().Int64Var(&version, "at-version", 0, "version of the last event that counts (default the last)")
	cmd.Flags().StringVar(&at, "at-time", "", "time up to which events count that were recorded then, in RFC 3339 (default now)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var moment commands.Moment
		switch {
		case cmd.Flags().Changed("at-version") && at != "":
			return UsageError(cmd, "--at-version and --at-time exclude each other")
		case cmd.Flags().Changed("at-version") && version < 0:
			return UsageError(cmd, "--at-version must not be negative")
		case cmd.Flags().Changed("at-version"):
			moment = commands.AtVersion(version)
		case at != "":
			t, err := time.Parse(time.RFC3339, at)
			if err != nil {
				return UsageError(cmd, "--at-time %q is no time: it looks like 2026-01-31T23:59:59Z", at)
			}
			moment = commands.AtTime(t)
		}
		return d.withService(cmd.Context(), app.Options{Logger: prog.warnings()}, func(s *app.Service) error {
			state, err := d.loadState(cmd, s.Commands, args[0], moment)
			if err != nil {
				return err
			}
			if out.JSON() {
				return encoder(prog.Stdout).Encode(state)
			}
			e := encoder(prog.Stdout)
			e.SetIndent("", "  ")
			return e.Encode(state.State)
		})
	}
	return cmd
}
