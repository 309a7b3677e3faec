package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
)

func (prog *Program) subscriptionsReset(d *database) *cobra.Command {
	var reason string
	var to resetTo
	var dryRun, yes bool
	cmd := &cobra.Command{
		Use:   "reset NAME --to PLACE --reason TEXT",
		Short: "Move a subscription to another place of the log, after saying how many events come again",
		Long: `Move a subscription to another place of the log, after saying how many events come again and how many are
left out. Parked events and dead letters behind the place are forgotten: they come again.`,
		Example: "  {program} subscriptions reset mails --to 1200 --reason 'the mail server lost a day'",
		Args:    OneArg("subscription"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.Flags().Var(&to, "to", "beginning, end, the position of the first event, a time of RFC 3339, or the id of the event before the first")
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is kept")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case to.Start == (delivery.Start{}):
			return UsageError(cmd, "say where to with --to PLACE")
		case reason == "" && !dryRun:
			return UsageError(cmd, "say why with --reason TEXT; it is kept")
		}
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			o := delivery.ResetOptions{To: to.Start, DryRun: true, Reason: reason, Actor: actor()}
			done, err := op.Reset(cmd.Context(), args[0], o)
			if err == nil && !dryRun {
				if err := prog.confirm(cmd.Context(), yes, "this "+consequenceOf(done)); err != nil {
					return err
				}
				o.DryRun = false
				done, err = op.Reset(cmd.Context(), args[0], o)
			}
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, done, func(w io.Writer) {
				if dryRun {
					fmt.Fprintln(w, "it", consequenceOf(done))
					return
				}
				fmt.Fprintf(w, "%s goes on behind position %d\n", args[0], done.Position)
			})
		})
	}
	return cmd
}

// consequenceOf says what a reset does that has counted.
func consequenceOf(r delivery.Reset) string {
	text := fmt.Sprintf("moves %s behind position %d", r.Subscription, r.Position)
	if r.Repeated != nil && r.Skipped != nil {
		text += fmt.Sprintf(": %d events come again, %d are left out", *r.Repeated, *r.Skipped)
	}
	if r.Parked+r.Dead > 0 {
		text += fmt.Sprintf("; %d parked events and %d dead letters are forgotten", r.Parked, r.Dead)
	}
	return text
}

// resetTo is a flag that takes a place of the log.
type resetTo struct {
	delivery.Start
	text string
}

// String implements pflag.Value.
func (t *resetTo) String() string { return t.text }

// Type implements pflag.Value. The help shows it.
func (t *resetTo) Type() string { return "PLACE" }

// Set implements pflag.Value.
func (t *resetTo) Set(text string) error {
	t.text, t.Start = text, delivery.Start{}
	if text == delivery.AtBeginning || text == delivery.AtEnd {
		t.At = text
		return nil
	}
	if position, err := strconv.ParseInt(text, 10, 64); err == nil && position > 0 {
		t.Position = position
		return nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		t.Time = at
		return nil
	}
	if _, err := uuid.Parse(text); err == nil {
		t.AfterEvent = text
		return nil
	}
	return errors.New("must be beginning, end, a position, a time such as 2026-01-02T15:04:05Z, or the id of an event")
}
