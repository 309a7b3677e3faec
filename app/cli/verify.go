package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
)

func (prog *Program) verifyCommand() *cobra.Command {
	prog = prog.withMost()
	var o app.VerifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that what the log says adds up and comes to an end; exit code 8 if it does not",
		Long: `Fold the log as far as it reaches now, while it is written, and check the invariants of this program:
what holds for all that was ever done, whatever happened to the processes that did it. What is under way
is none of it, unless nothing has happened to it for --within. That events were handed over to the
subscriptions is checked too. It changes nothing. Whether the rows of read models are what the log makes
of them is for {program} projections verify.`,
		Example: "  {program} verify\n  {program} verify --within 1m -o json",
		Args:    NoArgs,
	}
	d := prog.databaseFlags(cmd, "that of the running {program} dev")
	out := OutputFlag(cmd)
	var ignored []string
	flags := cmd.Flags()
	flags.DurationVar(&o.Within, "within", 15*time.Minute, "for how long nothing need happen to what is under way")
	flags.IntVar(&o.Limit, "limit", 100, "how much that is wrong to print of each invariant at most")
	ignoreFlag(flags, &ignored)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.Within <= 0 || o.Limit < 1 {
			return UsageError(cmd, "--within and --limit must be more than 0")
		}
		return d.withService(cmd.Context(), app.Options{IgnoreTypes: ignored}, func(s *app.Service) error {
			found, err := s.Verify(cmd.Context(), o)
			if err != nil {
				return err
			}
			if err := out.Print(prog.Stdout, found, func(w io.Writer) { verifiedTable(w, found) }); err != nil {
				return err
			}
			if found.OK() {
				return nil
			}
			return Fail(ExitCheckFailed, fmt.Errorf("%s", wrongInWords(found)),
				"look at the events: {program} log tail --from POSITION -n 1, {program} streams show STREAM; what is only slow is under way with a longer --within")
		})
	}
	return cmd
}

func wrongInWords(v app.Verification) string {
	var all []string
	for _, i := range v.Invariants {
		if i.Wrong > 0 {
			all = append(all, fmt.Sprintf("%s: %d", i.Name, i.Wrong))
		}
	}
	return "what does not hold: " + strings.Join(all, ", ")
}

func verifiedTable(w io.Writer, v app.Verification) {
	fmt.Fprintln(w, "INVARIANT\tWRONG\tUNDER WAY\tLONGEST\tTHERE ARE")
	for _, i := range v.Invariants {
		longest := ""
		if i.Longest != nil {
			longest = v.At.Sub(i.Longest.Since).Round(time.Second).String() + " " + Cell(i.Longest.Subject, 60)
		}
		var counts []string
		for _, c := range i.Counts {
			counts = append(counts, fmt.Sprintf("%d %s", c.N, c.Of))
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\n", i.Name, i.Wrong, i.UnderWay, longest, strings.Join(counts, ", "))
	}
	fmt.Fprintf(w, "\n%d events up to position %d\n", v.Events, v.Position)
	for _, i := range v.Invariants {
		for _, f := range i.Findings {
			since := ""
			if !f.Since.IsZero() {
				since = ", for " + v.At.Sub(f.Since).Round(time.Second).String()
			}
			fmt.Fprintf(w, "\n%s: %s: %s%s\n  expected: %s\n  found:    %s\n", i.Name, Cell(f.Subject, 200), Cell(f.What, 200), since, Cell(f.Expected, 500), Cell(f.Found, 500))
			if len(f.Positions) > 0 {
				fmt.Fprintf(w, "  events:   %s\n", strings.Trim(fmt.Sprint(f.Positions), "[]"))
			}
		}
		if more := i.Wrong - int64(len(i.Findings)); more > 0 {
			fmt.Fprintf(w, "\n%s: %d more, see --limit\n", i.Name, more)
		}
	}
}
