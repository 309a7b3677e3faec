package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// finding is what doctor says about something.
type finding struct {
	// State is ok, warning or failed.
	State   string `json:"state"`
	Subject string `json:"subject"`
	Why     string `json:"why,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// The states of a finding.
const (
	findingOK      = "ok"
	findingWarning = "warning"
	findingFailed  = "failed"
)

// lagPatience is for how long a projection may be behind before that is worth a word.
const lagPatience = time.Minute

func (prog *Program) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at database, log and projections, and say what is wrong; exit code 8 if anything failed",
		Args:  NoArgs,
	}
	d := prog.databaseFlags(cmd, "that of the running {program} dev")
	out := OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return d.withLog(cmd.Context(), app.Options{}, func(s *app.Service) error {
			found := prog.examine(cmd.Context(), s)
			if err := out.Print(prog.Stdout, listOf(found), func(w io.Writer) { findingTable(w, found) }); err != nil {
				return err
			}
			for _, f := range found {
				if f.State == findingFailed {
					return &Failure{ExitCheckFailed, fmt.Errorf("%s: %s", f.Subject, f.Why), f.Hint}
				}
			}
			return nil
		})
	}
	return cmd
}

// examine runs the checks of the service, and looks at its projections.
func (prog *Program) examine(ctx context.Context, s *app.Service) (found []finding) {
	for _, c := range append(s.Checks(), app.Check{Name: "app", Run: s.Admin.Check}) {
		f := finding{State: findingOK, Subject: c.Name}
		if err := c.Run(ctx); err != nil {
			f = finding{findingFailed, c.Name, message(err), prog.hintFor(err)}
		}
		found = append(found, f)
	}
	all, err := s.Admin.List(ctx)
	if err != nil && !errors.Is(err, projections.ErrAnotherApp) { // which the check of the app has told
		found = append(found, finding{findingFailed, "projections", message(err), prog.hintFor(err)})
	}
	for _, p := range all {
		if p.Known {
			found = append(found, prog.findingOf(p))
		}
	}
	return found
}

func (prog *Program) findingOf(p projections.Status) finding {
	f := finding{State: findingOK, Subject: fmt.Sprintf("projection %s, version %d", p.Projection, p.Version)}
	switch {
	case p.Failure != nil:
		f.State, f.Why, f.Hint = findingFailed, p.Failure.Error, p.Failure.Hint
	case p.State == operations.Paused:
		f.State, f.Why, f.Hint = findingWarning, "it is paused", prog.hints().Fill("{program} projections resume "+p.Projection)
	case p.ReadHere && p.LagSeconds > lagPatience.Seconds():
		f.State, f.Why = findingWarning, fmt.Sprintf("it is %d events and %.0f s behind", p.LagEvents, p.LagSeconds)
		if p.Owner == "" {
			f.Hint = prog.hints().Fill("no process runs it: start one with {program} serve --roles projections")
		}
	}
	return f
}

func findingTable(w io.Writer, all []finding) {
	fmt.Fprintln(w, "STATE\tSUBJECT\tWHY")
	for _, f := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.State, f.Subject, Cell(f.Why, 200))
		if f.Hint != "" {
			fmt.Fprintf(w, "\t\thint: %s\n", Cell(f.Hint, 300))
		}
	}
}
