package archivecli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/archive"
)

// resend is what archive replay is asked for.
type resend struct {
	address, to  string
	rng          archive.Range
	progressFile string
	o            delivery.ReplayEventsOptions
}

func replay(prog *cli.Program) *cobra.Command {
	var r resend
	var from, to, filter string
	cmd := &cobra.Command{
		Use:   "replay ARCHIVE --to-subscription NAME --reason TEXT",
		Short: "Send events of an archive to the target of a subscription again, in the order of the log",
		Long: `Send events of an archive to the target of a subscription again, in the order of the log, one attempt after another. The
subscription itself stays where it is; deliveries say that they are of a replay, and have the message ids of before. Only events that its filter
matches are sent. A target refuses replays unless the definition says "replays":"allow", or --allow is given.

An event that fails is tried again as the definition says, and all others wait; the first that fails for good ends the replay. With --progress the
file has how far it is: the same command again goes on there. What was sent last may be sent again.

Events that the log has still can be sent by {program} subscriptions replay, which shares them among processes and keeps dead letters.`,
		Example: "  {program} archive replay file:///archive/orders --from 2026-01-02T00:00:00Z --to 2026-01-03T00:00:00Z --to-subscription mails --dry-run",
		Args:    cli.OneArg("archive"),
	}
	out := cli.OutputFlag(cmd)
	withTargets := prog.WithTargets(cmd)
	flags := cmd.Flags()
	flags.StringVar(&r.to, "to-subscription", "", "the subscription whose target gets the events")
	flags.StringVar(&from, "from", "", "time of RFC 3339 from which on they were recorded (default the first)")
	flags.StringVar(&to, "to", "", "time of RFC 3339 before which they were recorded (default the last)")
	flags.StringVar(&filter, "pattern", "", "a pattern that events must match beside the subscription's, as JSON")
	flags.Float64Var(&r.o.Rate, "rate", 0, "how many events to try in a second (default no limit)")
	flags.BoolVar(&r.o.Allow, "allow", false, "also if the target refuses replays")
	flags.BoolVar(&r.o.DryRun, "dry-run", false, "only say how many events of which types there are")
	flags.StringVar(&r.o.Reason, "reason", "", "why; it is kept")
	flags.StringVar(&r.progressFile, "progress", "", "file that has how far it is, to go on with when it was interrupted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, at := range []struct {
			flag, text string
			to         *time.Time
		}{{"from", from, &r.rng.From}, {"to", to, &r.rng.To}} {
			var err error
			if at.text == "" {
				continue
			}
			if *at.to, err = time.Parse(time.RFC3339, at.text); err != nil {
				return cli.UsageError(cmd, "--%s must be a time such as 2026-01-02T00:00:00Z, it is %q", at.flag, at.text)
			}
		}
		switch {
		case r.to == "":
			return cli.UsageError(cmd, "say to which subscription with --to-subscription NAME")
		case r.o.Reason == "" && !r.o.DryRun:
			return cli.UsageError(cmd, "say why with --reason TEXT; it is kept")
		case filter != "" && !json.Valid([]byte(filter)):
			return cli.UsageError(cmd, "--pattern must be JSON")
		}
		r.address, r.o.Filter, r.o.Actor = args[0], []byte(filter), cli.Actor()
		return withTargets(cmd.Context(), func(s *app.Service) error {
			done, err := r.run(cmd.Context(), prog, s)
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, done, func(w io.Writer) {
				if !done.DryRun {
					fmt.Fprintf(w, "%s: %d events delivered\n", done.Replay, done.Delivered)
					return
				}
				fmt.Fprintf(w, "%d events would be sent to %s\n", done.Matched, done.Subscription)
				for _, name := range slices.Sorted(maps.Keys(done.Types)) {
					fmt.Fprintf(w, "  %d\t%s\n", done.Types[name], cli.Cell(name, 100))
				}
				if done.Refused != "" {
					fmt.Fprintln(w, cli.Cell(done.Refused, 1000))
				}
			})
		})
	}
	return cmd
}

func (r *resend) run(ctx context.Context, prog *cli.Program, s *app.Service) (done delivery.ReplayedEvents, err error) {
	deliverer, err := s.NewDeliverer()
	if err != nil {
		return done, err
	}
	before, err := r.begin()
	if err != nil {
		return done, err
	}
	r.rng.After, r.o.Replay, r.o.From = before.Position, before.Replay, "the archive "+r.address
	p := prog.Progress("replay " + before.Replay)
	said := time.Now()
	r.o.Sent = func(now delivery.ReplayedEvents) error {
		now.Matched, now.Delivered = now.Matched+before.Matched, now.Delivered+before.Delivered
		if time.Since(said) >= p.Every() {
			p.Say(fmt.Sprintf("position %d, %d events delivered", now.Position, now.Delivered))
			said = time.Now()
		}
		return r.note(now)
	}
	err = withArchive(r.address, func(a *archive.Archive) error {
		done, err = deliverer.ReplayEvents(app.WithService(ctx, s), r.to, a.Read(ctx, r.rng), r.o)
		return err
	})
	done.Matched, done.Delivered = done.Matched+before.Matched, done.Delivered+before.Delivered
	if ctx.Err() != nil {
		hint := "without --progress FILE it begins again from the start"
		if r.progressFile != "" {
			hint = "the same command goes on with it"
		}
		return done, cli.Fail(cli.ExitInterrupted, context.Cause(ctx), hint)
	}
	return done, err
}

// begin returns how far it was before.
func (r *resend) begin() (before delivery.ReplayedEvents, err error) {
	before = delivery.ReplayedEvents{Subscription: r.to, Replay: r.to + "@archive-" + strconv.FormatInt(time.Now().Unix(), 10)}
	if r.progressFile == "" {
		return before, nil
	}
	text, err := os.ReadFile(r.progressFile)
	if errors.Is(err, fs.ErrNotExist) {
		return before, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &before)
	}
	switch {
	case err != nil:
		return before, fmt.Errorf("read how far the replay is: %w", err)
	case before.Subscription != r.to:
		return before, cli.Fail(cli.ExitConflict, fmt.Errorf("%s is of a replay to subscription %s", r.progressFile, before.Subscription), "name another file")
	}
	return before, nil
}

// note writes down how far it is.
func (r *resend) note(now delivery.ReplayedEvents) error {
	if r.progressFile == "" {
		return nil
	}
	text, err := json.Marshal(now)
	if err == nil {
		err = os.WriteFile(r.progressFile+".new", append(text, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(r.progressFile+".new", r.progressFile)
	}
	if err != nil {
		return fmt.Errorf("write down how far the replay is: %w", err)
	}
	return nil
}
