package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/sagas"
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

// lagPatience is for how long a projection or a subscription may be behind before that is worth a word.
const lagPatience = time.Minute

func (prog *Program) doctorCommand() *cobra.Command {
	prog = prog.withMost()
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at database, log, projections, subscriptions and sagas, and say what is wrong; exit code 8 if anything failed",
		Args:  NoArgs,
	}
	d := prog.databaseFlags(cmd, "that of the running {program} dev")
	out := OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return d.withLog(cmd.Context(), app.Options{}, func(s *app.Service) error {
			found := prog.examine(cmd.Context(), s, d.flags(cmd))
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

// examine runs the checks of the service, and looks at its projections and subscriptions. Flags are those with which other
// commands find the same log.
func (prog *Program) examine(ctx context.Context, s *app.Service, flags string) (found []finding) {
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
			found = append(found, prog.findingOf(p, flags))
		}
	}
	subscribed, err := s.Subscriptions.List(ctx)
	if err != nil {
		found = append(found, finding{findingFailed, "subscriptions", message(err), prog.hintFor(err)})
	}
	for _, one := range subscribed {
		found = append(found, prog.findingOfSubscription(one, flags))
		for _, name := range one.Replays {
			if r, err := s.Subscriptions.Get(ctx, name); err == nil { // else it is gone since
				r.LagSeconds = nil // which it begins with
				found = append(found, prog.findingOfSubscription(r, flags))
			}
		}
	}
	// Where there is no list of instances, none has begun: the App that runs may be one without sagas.
	if s.Sagas != nil && slices.ContainsFunc(all, func(p projections.Status) bool { return p.Projection == sagas.Instances.Name() }) {
		found = append(found, prog.findingsOfSagas(ctx, s, flags)...)
	}
	return found
}

func (prog *Program) findingOfSubscription(s delivery.Status, flags string) finding {
	f := finding{State: findingOK, Subject: "subscription " + s.Name}
	hint := func(text string) {
		f.Hint = strings.NewReplacer("{name}", s.Name, "{flags}", flags).Replace(prog.hints().Fill(text))
	}
	var full, stuck, troubled []string
	var last *operations.Trouble
	for _, p := range s.Partitions {
		if p.LastError != nil && (last == nil || p.LastError.At.After(last.At)) {
			last = p.LastError
		}
		full = append(full, p.Full...)
		for _, a := range p.Stuck {
			stuck = append(stuck, a.String())
		}
		if p.Trouble != nil {
			troubled = append(troubled, p.Trouble.Error)
		}
	}
	switch {
	case s.Failure != nil:
		f.State, f.Why, f.Hint = findingFailed, s.Failure.Error, s.Failure.Hint
	case s.Dead > 0:
		f.State, f.Why = findingWarning, fmt.Sprintf("it has %d dead letters", s.Dead)
		hint("{program} dead ls {name}{flags} lists them; {program} dead redrive {name} --all{flags} tries them again")
	case s.State == operations.Paused:
		f.State, f.Why = findingWarning, "it is paused"
		hint("{program} subscriptions resume {name}{flags}")
	case s.NoMember && s.Definition.Target.Webhook != nil:
		f.State, f.Why = findingWarning, "no process that delivers has the key that its secret is derived from"
		hint("start all with the same " + webhookKeyVariable + ", or --webhook-key-file")
	case s.NoMember:
		f.State, f.Why = findingWarning, "no process that delivers can run its target"
		hint("start one with {program} serve --roles delivery, of the program that has the handler")
	case len(full) > 0:
		f.State, f.Why = findingWarning, fmt.Sprintf("too many events are parked, so that it reads no more; behind: %s", strings.Join(full, ", "))
		hint("{program} subscriptions show {name}{flags} says why they fail")
	case len(stuck) > 0:
		f.State, f.Why = findingWarning, fmt.Sprintf("attempts do not return: %s", strings.Join(stuck, ", "))
		hint("look at its handler or target; a restart of the process ends them")
	case len(troubled) > 0:
		f.State, f.Why = findingWarning, troubled[0]
		hint("{program} subscriptions show {name}{flags}")
	case s.Parked > 0 && last != nil:
		f.State, f.Why = findingWarning, fmt.Sprintf("%d events failed, or wait behind one that did, and are tried again; the last failed with: %s", s.Parked, last.Error)
		hint("{program} subscriptions show {name}{flags}; {program} subscriptions explain {name} POSITION{flags} says what became of one")
	case s.LagSeconds != nil && *s.LagSeconds > lagPatience.Seconds():
		f.State, f.Why = findingWarning, fmt.Sprintf("it is %d events and %.0f s behind", *s.LagEvents, *s.LagSeconds)
		hint("{program} subscriptions show {name}{flags}")
	}
	return f
}

func (prog *Program) findingOf(p projections.Status, flags string) finding {
	f := finding{State: findingOK, Subject: fmt.Sprintf("projection %s, version %d", p.Projection, p.Version)}
	hint := func(text string) { f.Hint = prog.hints().Fill(text) }
	switch {
	case p.Failure != nil:
		f.State, f.Why, f.Hint = findingFailed, p.Failure.Error, p.Failure.Hint
	case p.State == operations.Paused:
		f.State, f.Why = findingWarning, "it is paused"
		hint("{program} projections resume " + p.Projection + flags)
	case p.State == operations.Unreadable:
		f.State, f.Why = findingFailed, p.Unreadable.Error
		hint("start the version of the program that wrote the event, or a newer one: it goes on by itself")
	case p.State == operations.Retrying:
		f.State, f.Why = findingWarning, "it tries again: "+p.Trouble.Error
		hint("{program} projections show " + p.Projection + flags)
	case p.ReadHere && p.LagSeconds > lagPatience.Seconds():
		f.State, f.Why = findingWarning, fmt.Sprintf("it is %d events and %.0f s behind", p.LagEvents, p.LagSeconds)
		if p.Owner == "" {
			hint("no process runs it: start one with {program} serve --roles projections")
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
