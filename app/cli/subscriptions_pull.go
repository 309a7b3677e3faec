package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/httpapi/adminapi"
)

// exitPermanent is the exit code by which a command says that an event would fail again: EX_DATAERR of sysexits.h.
const exitPermanent = 65

func (prog *Program) subscriptionsPull(d *database) *cobra.Command {
	var command string
	var ack, untilEmpty bool
	limit, concurrency := 10, 1
	var wait, lease time.Duration
	cmd := &cobra.Command{
		Use:   "pull NAME",
		Short: "Get events of a subscription that is pulled, or run a command for each of them",
		Long: `Get events of a subscription that is pulled. They are this caller's for the time of a lease, and are handed out
again if they are not acknowledged: --ack does it when they are printed.

--exec runs a command by the shell for each event, with the event on its standard input as JSON, until it is
interrupted, or until there is none with --until-empty. Its lease is extended for as long as it runs. What
becomes of the event is said by its exit code:

  0      it is done
  65     it would fail again: it is a dead letter at once
  other  it failed, and is tried again after a time that grows; so is one whose command was killed

The command finds RECOUNT_SUBSCRIPTION, RECOUNT_POSITION, RECOUNT_MESSAGE_ID, RECOUNT_TYPE, RECOUNT_STREAM and
RECOUNT_ATTEMPT in its environment. The end of what it writes to its standard error is kept with the failure.`,
		Example: `  {program} subscriptions pull mails --wait 20s --ack
  {program} subscriptions pull mails --exec './send-mail' --concurrency 4`,
		Args: OneArg("subscription"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	flags := cmd.Flags()
	flags.StringVar(&command, "exec", "", "command to run for each event")
	flags.IntVar(&concurrency, "concurrency", concurrency, "how many commands run at once, with --exec")
	flags.BoolVar(&untilEmpty, "until-empty", false, "end when there is no event, with --exec")
	flags.IntVar(&limit, "max", limit, "how many events to get at most, without --exec")
	flags.BoolVar(&ack, "ack", false, "acknowledge the events when they are printed, without --exec")
	flags.DurationVar(&wait, "wait", 0, "how long to wait for the first event, at most 20s")
	flags.DurationVar(&lease, "lease", 30*time.Second, "for how long they are this caller's")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		given := func(name string) bool { return flags.Changed(name) }
		switch {
		case given("exec") && (command == "" || given("max") || ack):
			return UsageError(cmd, "--exec takes a command, and neither --max nor --ack")
		case !given("exec") && (given("concurrency") || untilEmpty):
			return UsageError(cmd, "--concurrency and --until-empty go with --exec")
		case concurrency < 1 || concurrency > delivery.MaxPull:
			return UsageError(cmd, "--concurrency must be from 1 to %d, it is %d", delivery.MaxPull, concurrency)
		}
		if given("exec") {
			// A worker waits for what is not there; who types a name wants to know.
			if err := target.isPulled(cmd.Context(), args[0]); err != nil {
				return err
			}
		}
		return target.withPuller(cmd.Context(), func(p delivery.Puller) error {
			if given("exec") {
				return prog.work(cmd.Context(), delivery.WorkerConfig{Source: p, Subscription: args[0], Concurrency: concurrency, Lease: lease,
					Wait: wait, UntilEmpty: untilEmpty, Handle: prog.execFor(args[0], command)})
			}
			events, err := p.Pull(cmd.Context(), args[0], delivery.PullOptions{Max: limit, Wait: wait, Lease: lease})
			if err != nil {
				return err
			}
			all := adminapi.NewDeliveries(events)
			if err := out.Print(prog.Stdout, all, func(w io.Writer) { deliveryTable(w, events) }); err != nil || !ack || len(events) == 0 {
				return err
			}
			var tokens []string
			for _, e := range events {
				tokens = append(tokens, e.Token)
			}
			results, err := p.Ack(cmd.Context(), args[0], tokens...)
			if err != nil {
				return err
			}
			return unsettled(results)
		})
	}
	return cmd
}

// unsettled returns an error if not all was acknowledged.
func unsettled(results []delivery.TokenResult) error {
	var left []string
	for _, r := range results {
		if r.Outcome != delivery.TokenSettled {
			left = append(left, fmt.Sprintf("%s is %s", r.Token, r.Outcome))
		}
	}
	if len(left) == 0 {
		return nil
	}
	return &Failure{ExitConflict, fmt.Errorf("%d of %d events were not acknowledged: %s", len(left), len(results), strings.Join(left, ", ")),
		"their leases ran out before: they are another caller's, and come again unless that one is done with them. --lease makes them longer"}
}

func deliveryTable(w io.Writer, events []delivery.Pulled) {
	fmt.Fprintln(w, "POSITION\tTYPE\tSTREAM\tATTEMPT\tDEADLINE\tTOKEN")
	for _, e := range events {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\n", e.Event.Position, Cell(e.Event.Type, 60), Cell(e.Event.Stream, 60), e.Event.Attempt,
			e.Deadline.UTC().Format(timeFormat), e.Token)
	}
}

// work handles events until ctx is done, and those at hand then.
func (prog *Program) work(ctx context.Context, c delivery.WorkerConfig) error {
	c.Logger = zerolog.New(zerolog.ConsoleWriter{Out: prog.Stderr, NoColor: true})
	w, err := delivery.NewWorker(c)
	if err != nil {
		return err
	}
	if err := w.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	select {
	case <-w.Stopped():
		return nil
	case <-ctx.Done():
	}
	if err := w.Stop(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// groups are the process groups of the commands that run, by their ids.
var groups sync.Map

// killGroups ends them: a terminal sends them no Ctrl-C.
func killGroups() {
	groups.Range(func(id, _ any) bool {
		_ = syscall.Kill(-id.(int), syscall.SIGKILL)
		return true
	})
}

// execFor returns what runs a command for an event.
func (prog *Program) execFor(subscription, command string) func(context.Context, delivery.Event) error {
	return func(ctx context.Context, e delivery.Event) error {
		var said endOfText
		cmd := exec.CommandContext(ctx, "sh", "-c", command)
		// A group of its own, so that what the shell runs ends with it.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		// What it leaves running may keep its standard error, and is not waited for.
		cmd.WaitDelay = time.Second
		cmd.Stdin = bytes.NewReader(append(e.AppendJSON(nil), '\n'))
		cmd.Stdout, cmd.Stderr = prog.Stdout, io.MultiWriter(prog.Stderr, &said)
		cmd.Env = append(os.Environ(), "RECOUNT_SUBSCRIPTION="+subscription, fmt.Sprintf("RECOUNT_POSITION=%d", e.Position),
			"RECOUNT_MESSAGE_ID="+e.MessageID.String(), "RECOUNT_TYPE="+e.Type, "RECOUNT_STREAM="+e.Stream, fmt.Sprintf("RECOUNT_ATTEMPT=%d", e.Attempt))
		err := cmd.Start()
		if err == nil {
			groups.Store(cmd.Process.Pid, nil)
			err = cmd.Wait()
			groups.Delete(cmd.Process.Pid)
		}
		if err == nil || errors.Is(err, exec.ErrWaitDelay) {
			return nil
		}
		if text := strings.TrimSpace(string(said)); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		var ended *exec.ExitError
		if errors.As(err, &ended) && ended.ExitCode() == exitPermanent {
			return delivery.Permanent(err)
		}
		return delivery.RetryAfter(err, 0)
	}
}

// endOfText keeps the end of what is written to it.
type endOfText []byte

func (t *endOfText) Write(text []byte) (int, error) {
	const kept = 1024
	*t = append(*t, text...)
	if len(*t) > kept {
		*t = append((*t)[:0], (*t)[len(*t)-kept:]...)
	}
	return len(text), nil
}

// pullClient has a running server hand out events.
type pullClient struct{ *operationsClient }

// Pull gets events.
func (c pullClient) Pull(ctx context.Context, name string, o delivery.PullOptions) ([]delivery.Pulled, error) {
	body := map[string]any{"max": o.Max, "wait": delivery.Duration(o.Wait)}
	if o.Lease > 0 {
		body["lease"] = delivery.Duration(o.Lease)
	}
	var got adminapi.Deliveries
	if err := c.call(ctx, http.MethodPost, pathOf(name)+"/pull", body, &got); err != nil {
		return nil, err
	}
	events := make([]delivery.Pulled, len(got.Deliveries))
	for i, d := range got.Deliveries {
		e, err := delivery.ParseEvent(d.Event)
		if err != nil {
			return nil, err
		}
		e.Attempt, e.Redrive = d.Attempt, d.Redrive
		events[i] = delivery.Pulled{Token: d.Token, Deadline: d.Deadline, Event: e}
	}
	return events, nil
}

// Ack says that events are done.
func (c pullClient) Ack(ctx context.Context, name string, tokens ...string) ([]delivery.TokenResult, error) {
	return c.settle(ctx, name, "/ack", map[string]any{"tokens": tokens})
}

// Nack gives events back.
func (c pullClient) Nack(ctx context.Context, name string, o delivery.NackOptions, tokens ...string) ([]delivery.TokenResult, error) {
	body := map[string]any{"tokens": tokens, "error": o.Error, "permanent": o.Permanent}
	if o.Delay != nil {
		body["delay"] = delivery.Duration(*o.Delay)
	}
	return c.settle(ctx, name, "/nack", body)
}

// Extend keeps events for longer.
func (c pullClient) Extend(ctx context.Context, name string, lease time.Duration, tokens ...string) ([]delivery.TokenResult, error) {
	return c.settle(ctx, name, "/extend", map[string]any{"tokens": tokens, "lease": delivery.Duration(lease)})
}

func (c pullClient) settle(ctx context.Context, name, what string, body any) ([]delivery.TokenResult, error) {
	var done adminapi.Settled
	if err := c.call(ctx, http.MethodPost, pathOf(name)+what, body, &done); err != nil {
		return nil, err
	}
	results := make([]delivery.TokenResult, len(done.Items))
	for i, t := range done.Items {
		results[i] = delivery.TokenResult{Token: t.Token, Outcome: t.Outcome, Dead: t.Dead, Deadline: t.Deadline}
	}
	return results, nil
}
