package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/queries"
)

func (prog *Program) traceCommand() *cobra.Command {
	prog = prog.withMost()
	cmd := &cobra.Command{
		Use:   "trace ID",
		Short: "Print what led to what around an event, as a tree",
		Long: `Print what led to what around an event, as a tree: from what everything began with, by causes.

ID is the id of an event, its position in the log, or a correlation id. Below an event is what it caused, and what came
from outside later about a stream that it began.`,
		Example: "  {program} trace 1200\n  {program} trace 019ad58a-2b2e-7c3f-9d55-0c3f1f8b7a11 --with-data",
		Args:    OneArg("event, position or correlation id"),
	}
	d := prog.databaseFlags(cmd, "a server does it, see --server")
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	var q queries.TraceQuery
	flags := cmd.Flags()
	flags.BoolVar(&q.Data, "with-data", false, "print the data of the events")
	flags.IntVar(&q.MaxEvents, "limit", queries.DefaultTraceEvents, "how many events to print at most")
	flags.Int64Var(&q.MaxScan, "scan", queries.DefaultTraceScan, "how many events of the log to look at")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if q.MaxEvents < 1 || q.MaxEvents > queries.MaxTraceEvents || q.MaxScan < 1 || q.MaxScan > queries.MaxTraceScan {
			return UsageError(cmd, "--limit is from 1 to %d, --scan from 1 to %d", queries.MaxTraceEvents, queries.MaxTraceScan)
		}
		q.ID = args[0]
		var all queries.Traced
		err := target.do(cmd.Context(), func() (err error) {
			all, err = target.client.trace(cmd.Context(), q)
			return err
		}, func(s *app.Service) (err error) {
			all, err = s.Trace(cmd.Context(), q)
			return err
		})
		if err != nil {
			return err
		}
		return out.Print(prog.Stdout, all, func(w io.Writer) { printTrace(w, all, q.Data) })
	}
	return cmd
}

func (c *operationsClient) trace(ctx context.Context, q queries.TraceQuery) (all queries.Traced, err error) {
	query := url.Values{"limit": {strconv.Itoa(q.MaxEvents)}, "scan": {strconv.FormatInt(q.MaxScan, 10)}}
	if q.Data {
		query.Set("data", "true")
	}
	return all, c.call(ctx, http.MethodGet, "/v1/trace/"+url.PathEscape(q.ID)+"?"+query.Encode(), nil, &all)
}

func printTrace(w io.Writer, all queries.Traced, withData bool) {
	header := "EVENT\tSTREAM\tVERSION\tPOSITION\tRECORDED\tAFTER\tBY"
	if withData {
		header += "\tDATA"
	}
	fmt.Fprintln(w, header)
	for _, e := range all.Events {
		after := ""
		if e.Parent > 0 {
			after = fmt.Sprintf("+%.1fms", e.AfterMS)
		}
		mark := ""
		if e.Asked && e.Parent > 0 {
			mark = " *"
		}
		fmt.Fprintf(w, "%s%s%s\t%s\t%d\t%d\t%s\t%s\t%s", strings.Repeat("  ", e.Depth), Cell(e.Type, 60), mark, Cell(e.Stream, 80), e.Version, e.Position,
			timeCell(&e.RecordedAt), after, Cell(doneBy(e), 120))
		if withData {
			fmt.Fprintf(w, "\t%s", Cell(cmp.Or(string(e.Data), fmt.Sprintf("(%d bytes)", len(e.DataBase64))), 500))
		}
		fmt.Fprintln(w)
	}
	if all.RootUnknown {
		fmt.Fprintf(w, "\nWhat began it may be another event: its cause was not found. --scan lets it be looked for further.\n")
	}
	fmt.Fprintf(w, "\n%d events of the log from position %d to %d, ", len(all.Events), all.From, all.Through)
	if all.Truncated {
		fmt.Fprintf(w, "which ends at %d: there may be more. --limit and --scan let it go further.\n", all.Head)
	} else {
		fmt.Fprintln(w, "its end.")
	}
}

// doneBy says who or what let an event happen.
func doneBy(e queries.TracedEvent) string {
	var all []string
	if e.Actor != "" {
		all = append(all, e.Actor)
	}
	if e.Via != "" {
		all = append(all, e.Via)
	}
	if e.Link != queries.LinkCause && e.CausationID != "" {
		all = append(all, "from outside: "+e.CausationID)
	}
	return strings.Join(all, ", ")
}
