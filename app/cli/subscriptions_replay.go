package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/operations"
)

func (prog *Program) subscriptionsReplay(d *database) *cobra.Command {
	var o delivery.ReplayOptions
	var from, to resetTo
	var filter, destination string
	var yes bool
	cmd := &cobra.Command{
		Use:   "replay NAME --from PLACE --reason TEXT",
		Short: "Deliver events of a range of the log again, to the same target or another; the subscription itself stays where it is",
		Long: `Deliver events of a range of the log again, to the same target or another, after saying how many there are. The
subscription itself stays where it is. Processes with role delivery do it, and go on when one dies or this command is
interrupted; the deliveries say which replay they are of, and have the message ids of before.

A target refuses replays unless the definition says "replays":"allow", or --allow is given. The replay has a name of its own,
such as mails@12: {program} subscriptions replays lists those of a subscription, show, pause, resume, explain and dead take
the name, and {program} subscriptions delete with it ends the replay.`,
		Example: "  {program} subscriptions replay mails --from 2026-01-02T00:00:00Z --to 2026-01-03T00:00:00Z --allow --reason 'the mail server lost a day'\n" +
			`  {program} subscriptions replay mails --from beginning --filter '{"type":["OrderShipped"]}' --dry-run`,
		Args: OneArg("subscription"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	flags := cmd.Flags()
	flags.Var(&from, "from", "the first event: beginning, a position, a time of RFC 3339, or the id of the event before it")
	flags.Var(&to, "to", "where it ends: the position of the last event, a time before which it is, the id of the last event, or end")
	flags.StringVar(&filter, "filter", "", "a pattern that events must match beside the subscription's, as JSON, @FILE or - for stdin")
	flags.StringVar(&destination, "target", "", `another target, as the definition of a subscription has it: JSON, @FILE or - for stdin`)
	flags.Float64Var(&o.Rate, "rate", 0, "how many events to try in a second, by all processes together (default no limit)")
	flags.BoolVar(&o.Allow, "allow", false, "also if the target refuses replays")
	flags.StringVar(&o.Reason, "reason", "", "why; it is kept")
	flags.BoolVar(&o.DryRun, "dry-run", false, "only say how many events of which types there are")
	flags.BoolVar(&yes, "yes", false, "do not ask, and do not count before")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case from.Start == (delivery.Start{}):
			return UsageError(cmd, "say from where with --from PLACE")
		case o.Reason == "" && !o.DryRun:
			return UsageError(cmd, "say why with --reason TEXT; it is kept")
		case filter == "-" && destination == "-":
			return UsageError(cmd, "stdin can be the filter or the target, not both")
		}
		if filter != "" {
			text, err := readArgument(prog, "filter", filter, parseJSON[jsontext.Value])
			if err != nil {
				return err
			}
			o.Filter = []byte(text)
		}
		if destination != "" {
			other, err := readArgument(prog, "target", destination, parseJSON[delivery.TargetConfig])
			if err != nil {
				return err
			}
			o.Target = &other
		}
		o.From, o.To, o.Actor = from.Start, to.Start, actor()
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			r, err := prog.replay(cmd.Context(), target, op, args[0], o, yes)
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, r, func(w io.Writer) {
				if r.DryRun {
					replayCounts(w, r)
					return
				}
				replayTable(w, []delivery.Replay{r})
			})
		})
	}
	return cmd
}

func parseJSON[T any](text []byte) (v T, err error) {
	err = json.Unmarshal(text, &v, json.RejectUnknownMembers(true))
	return v, err
}

// replay does a replay and returns it when it has ended.
func (prog *Program) replay(ctx context.Context, t *target, op subscriptionOperator, name string, o delivery.ReplayOptions, yes bool) (delivery.Replay, error) {
	if o.DryRun || !yes {
		count := o
		count.DryRun = true
		r, err := op.Replay(ctx, name, count)
		switch {
		case err != nil || o.DryRun:
			return r, err
		case r.Refused != "":
			return r, fmt.Errorf("%w%s", delivery.ErrReplaysRefused, strings.TrimPrefix(r.Refused, delivery.ErrReplaysRefused.Error()))
		}
		if err := prog.confirm(ctx, yes, fmt.Sprintf("this delivers %d events of %s again", r.Matched, name)); err != nil {
			return r, err
		}
	}
	r, err := op.Replay(ctx, name, o)
	if err != nil {
		return r, err
	}
	return prog.followReplay(ctx, t, op, r)
}

// followReplay shows the progress of a replay until it has ended.
func (prog *Program) followReplay(ctx context.Context, t *target, op subscriptionOperator, r delivery.Replay) (delivery.Replay, error) {
	p := prog.Progress("replay " + r.Name)
	defer p.End()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var shown time.Time
	for {
		all, err := op.Replays(ctx, r.Subscription)
		if ctx.Err() != nil {
			return r, &Failure{ExitInterrupted, context.Cause(ctx), "the processes that deliver go on with it, {program} subscriptions replays " +
				hint.Quote(r.Subscription) + t.flags() + " says how far it is; {program} subscriptions delete " + hint.Quote(r.Name) + t.flags() + " ends it"}
		}
		if err != nil {
			return r, err
		}
		i := slices.IndexFunc(all, func(other delivery.Replay) bool { return other.Name == r.Name })
		if i < 0 {
			return r, fmt.Errorf("replay %s: %w", r.Name, operations.ErrNotFound)
		}
		if r = all[i]; time.Since(shown) >= p.Every() || r.State != operations.Running {
			shown = time.Now()
			p.Say(progressOfReplay(r))
		}
		switch r.State {
		case operations.Running:
		case operations.Done:
			return r, nil
		default:
			return r, fmt.Errorf("replay %s: it was %s: %d of %d events were delivered", r.Name, r.State, r.Delivered, r.Matched)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// progressOfReplay says in a line how far a replay is.
func progressOfReplay(r delivery.Replay) string {
	line := fmt.Sprintf("position %d of %d, %d events delivered", r.Position, r.To, r.Delivered)
	if r.Parked > 0 {
		line += fmt.Sprintf(", %d parked", r.Parked)
	}
	if r.Dead > 0 {
		line += fmt.Sprintf(", %d dead", r.Dead)
	}
	if r.State != operations.Running {
		return line
	}
	if r.EventsPerSecond > 0 {
		line += fmt.Sprintf(", %.0f/s", r.EventsPerSecond)
	}
	if r.SecondsLeft != nil {
		line += fmt.Sprintf(", %.0fs left", *r.SecondsLeft)
	}
	if r.Waits != "" {
		line += ", waits: " + Cell(r.Waits, 200)
	}
	return line
}

// replayCounts says what a dry run has counted.
func replayCounts(w io.Writer, r delivery.Replay) {
	fmt.Fprintf(w, "%d events of %s from position %d to %d would be delivered again\n", r.Matched, r.Subscription, r.From, r.To)
	for _, name := range slices.Sorted(maps.Keys(r.Types)) {
		fmt.Fprintf(w, "  %d\t%s\n", r.Types[name], Cell(name, 100))
	}
	if r.Refused != "" {
		fmt.Fprintln(w, Cell(r.Refused, 1000))
	}
}

func replayTable(w io.Writer, all []delivery.Replay) {
	fmt.Fprintln(w, "REPLAY\tSTATE\tFROM\tTO\tPOSITION\tMATCHED\tDELIVERED\tPARKED\tDEAD\tBEGAN\tENDED\tDETAIL")
	for _, r := range all {
		detail := r.Waits
		if detail == "" {
			detail = r.Error
		}
		if detail == "" {
			detail = r.Reason
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", r.Name, r.State, r.From, r.To, r.Position, r.Matched, r.Delivered,
			r.Parked, r.Dead, timeCell(r.CreatedAt), timeCell(r.FinishedAt), Cell(detail, 200))
	}
}
