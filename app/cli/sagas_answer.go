package cli

import (
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/sagas"
)

func (prog *Program) sagasAnswer(d *database) *cobra.Command {
	var changes, code, failure string
	cmd := prog.sagasAct(d, sagas.Answered, &cobra.Command{
		Use:     "answer SAGA ID STEP --reason TEXT",
		Short:   "Say that an open step is done, or has failed",
		Example: "  {program} sagas answer checkout 1004 approval --changes '{\"approved_by\":\"ann\"}' --reason 'seen'",
	}, func(in *sagas.Intervene) error {
		if changes != "" && json.Unmarshal([]byte(changes), &in.Changes) != nil {
			return errors.New("--changes must be a JSON object with the members of the data that change")
		}
		if in.Code, in.Failure = code, failure; code == "" && failure != "" {
			return errors.New("--error goes with --code")
		}
		return nil
	})
	cmd.Flags().StringVar(&changes, "changes", "", "members of the instance's data that change, as a JSON object")
	cmd.Flags().StringVar(&code, "code", "", "kind of the failure: the step has failed")
	cmd.Flags().StringVar(&failure, "error", "", "what happened, of one that has failed")
	return cmd
}
