package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/sagas"
)

func (prog *Program) sagasList(d *database) *cobra.Command {
	var q sagas.Query
	var status string
	var olderThan time.Duration
	var limit int
	cmd := &cobra.Command{
		Use:     "ls [SAGA]",
		Short:   "List instances, those that have changed last first",
		Example: "  {program} sagas ls --status stuck\n  {program} sagas ls checkout --step pay --older-than 1h",
		Args:    ArgsBetween(0, 1),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	flags := cmd.Flags()
	flags.StringVar(&status, "status", "", "only those that are waiting, running, compensating, stuck, completed, failed, cancelled or terminated")
	flags.StringVar(&q.Step, "step", "", "only those whose open step this is; for one saga")
	flags.StringVar(&q.ID, "id", "", "only those whose id begins so, in the order of their ids; for one saga")
	flags.DurationVar(&olderThan, "older-than", 0, "only those that have not changed for so long, such as 1h; those first that have not for longest")
	flags.IntVar(&limit, "limit", 100, "how many to list at most, up to 10000")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit < 1 || limit > 10_000 {
			return UsageError(cmd, "--limit must be from 1 to 10000; it is %d", limit)
		}
		for _, q.Saga = range args {
		}
		q.Status = sagas.Status(status)
		if olderThan > 0 {
			q.Before, q.OldestFirst = time.Now().Add(-olderThan), true
		}
		return target.withSagas(cmd.Context(), func(op sagaOperator) error {
			all := []sagas.Summary{}
			for more := true; more && len(all) < limit; more = q.Cursor != "" {
				q.Limit = min(limit-len(all), 500)
				page, next, err := op.List(cmd.Context(), q)
				if err != nil {
					return err
				}
				all, q.Cursor = append(all, page...), next
			}
			return out.Print(prog.Stdout, listOf(all), func(w io.Writer) { instanceTable(w, all) })
		})
	}
	return cmd
}

func instanceTable(w io.Writer, all []sagas.Summary) {
	fmt.Fprintln(w, "SAGA\tID\tVERSION\tSTATUS\tSTEP\tSTARTED\tCHANGED\tERROR")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", s.Saga, Cell(s.ID, 60), s.Version, s.Status, s.Step, timeCell(&s.StartedAt), timeCell(&s.ChangedAt), Cell(s.Error, 120))
	}
}
