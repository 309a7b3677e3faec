package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

func (prog *Program) projectionsVerify(d *database) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "verify NAME|--all",
		Short: "Compare a projection with a fresh fold of the log, while it is read and written",
		Long: `Compare the rows of a projection with a fresh fold of the log, and count and digest of its events with
those of the log, while it is read and written. Exit code 8 if they differ. --all is all read models;
snapshots are compared with the log whenever one is used.`,
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	ignoreFlag(cmd.Flags(), &target.options.IgnoreTypes)
	cmd.Flags().BoolVar(&all, "all", false, "verify all projections, together; one that fails does not stop the others")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		names, err := prog.namesOrAll(cmd, args, all)
		if err != nil {
			return err
		}
		done, failed := prog.operateAll(cmd.Context(), target, requestsFor(projections.Verify, names, operations.Options{}))
		if failed != nil && len(done) == 0 {
			return failed
		}
		var found []projections.Verification
		ok := true
		for _, op := range done {
			var v projections.Verification
			if err := json.Unmarshal(op.Result, &v); err != nil {
				return fmt.Errorf("read the result: %w", err)
			}
			found = append(found, v)
			ok = ok && v.OK()
		}
		if err := out.Print(prog.Stdout, listOf(found), func(w io.Writer) { verificationTable(w, found, prog.App.ProgramName()) }); err != nil {
			return err
		}
		if failed != nil {
			return failed
		}
		if !ok {
			return &Failure{ExitCheckFailed, errors.New("rows are not what the log makes of them"),
				"{program} projections repair NAME KEY makes one row anew, {program} projections rebuild NAME all of them"}
		}
		return nil
	}
	return cmd
}

func verificationTable(w io.Writer, all []projections.Verification, program string) {
	fmt.Fprintln(w, "NAME\tGENERATION\tPOSITION\tROWS\tDIFFERING\tEVENTS\tSKIPPED\tIN LOG\tDIGEST")
	for _, v := range all {
		digest := "equal"
		if v.Digest != v.LogDigest {
			digest = fmt.Sprintf("%s, of the log %s", v.Digest, v.LogDigest)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n",
			v.Projection, v.Generation, v.Position, v.Rows, v.Differing, v.Events, v.Skipped, v.LogEvents, digest)
	}
	for _, v := range all {
		if v.Skipped > 0 {
			fmt.Fprintf(w, "\n%s leaves out %d events that an operator skipped: %s projections show %[1]s lists them\n", v.Projection, v.Skipped, program)
		}
	}
	for _, v := range all {
		for _, d := range v.Differences {
			fmt.Fprintf(w, "\n%s %s\n  log:   %s\n  table: %s\n", v.Projection, asText(d.Key), asText(d.Want), asText(d.Got))
			for _, e := range d.Events {
				fmt.Fprintf(w, "  event: %d %s in %s\n", e.Position, Cell(e.Type, 60), e.Stream)
			}
		}
	}
}
