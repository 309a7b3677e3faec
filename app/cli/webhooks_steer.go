package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook"
	"github.com/57528e99/recount/httpapi/adminapi"
)

func (prog *Program) webhooksRotate() *cobra.Command {
	var overlap time.Duration
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Give a webhook a new secret, and print it; the old one signs as well for a time",
	}
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "for how long the old secret signs as well; 0: it ends at once")
	return onWebhook(prog, cmd, func(ctx context.Context, c webhooksClient, args []string) (adminapi.Webhook, error) {
		return post[adminapi.Webhook](ctx, c, args[0], "/rotate", map[string]any{"overlap": delivery.Duration(overlap)})
	}, webhookDetails)
}

func (prog *Program) webhooksSecret() *cobra.Command {
	cmd := &cobra.Command{Use: "secret ID", Short: "Print the secrets that a webhook is signed with"}
	return onWebhook(prog, cmd, func(ctx context.Context, c webhooksClient, args []string) (webhookPage[webhook.Secret], error) {
		return post[webhookPage[webhook.Secret]](ctx, c, args[0], "/secret", nil)
	}, func(w io.Writer, page webhookPage[webhook.Secret]) { secretTable(w, page.Items) })
}

func (prog *Program) webhooksDisable() *cobra.Command {
	return prog.webhooksSwitch("disable", "Send a webhook nothing until it is enabled; what comes meanwhile waits", "disabled")
}

func (prog *Program) webhooksEnable() *cobra.Command {
	return prog.webhooksSwitch("enable", "Let a webhook go on, with what waits, also if its receiver had said that it is gone", "enabled")
}

func (prog *Program) webhooksSwitch(use, short, state string) *cobra.Command {
	return onWebhook(prog, &cobra.Command{Use: use + " ID", Short: short}, func(ctx context.Context, c webhooksClient, args []string) (h adminapi.Webhook, err error) {
		return h, c.call(ctx, http.MethodPatch, webhookPath(args[0], ""), map[string]string{"state": state}, &h)
	}, func(w io.Writer, h adminapi.Webhook) { webhookTable(w, h) })
}

func (prog *Program) webhooksResend() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resend ID POSITION",
		Short: "Send an event once more, whether it was delivered or not",
		Args: func(cmd *cobra.Command, args []string) error {
			_, _, err := nameAndPosition(cmd, args)
			return err
		},
	}
	return onWebhook(prog, cmd, func(ctx context.Context, c webhooksClient, args []string) (done delivery.Resent, err error) {
		_, position, err := nameAndPosition(cmd, args)
		if err != nil {
			return done, err
		}
		return post[delivery.Resent](ctx, c, args[0], "/resend", map[string]any{"position": position})
	}, func(w io.Writer, done delivery.Resent) {
		fmt.Fprintf(w, "position %d: %s\n", done.Position, done.Done)
		if done.Attempt != nil {
			fmt.Fprintln(w)
			attemptTable(w, []delivery.AttemptRecord{*done.Attempt})
		}
	})
}

func (prog *Program) webhooksRecover() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recover ID --since TIME",
		Short: "Let all be tried again at once that has failed since a time",
		Long:  "Let all be tried again at once that has failed since a time: dead letters, and what waits for its next attempt.",
	}
	return sinceOnWebhook(prog, cmd, "/recover", func(w io.Writer, done delivery.Recovered) {
		fmt.Fprintf(w, "%d dead letters and %d events that waited are tried again\n", done.Redriven, done.Retried)
	})
}

func (prog *Program) webhooksReplayMissing() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay-missing ID --since TIME",
		Short: "Send what was recorded since a time, before the webhook was made",
		Long: `Send what was recorded since a time, before the webhook was made, or before where it began: it is a replay, which
goes on by itself beside the events of today, and is followed as its subscription is.`,
	}
	return sinceOnWebhook(prog, cmd, "/replay-missing", func(w io.Writer, r delivery.Replay) {
		if r.Name == "" {
			fmt.Fprintln(w, "nothing was recorded between that time and where it begins")
			return
		}
		fmt.Fprintf(w, "positions %d to %d are replayed as %s\n", r.From, r.To, r.Name)
	})
}

// sinceOnWebhook completes a command that does something with a webhook about what is since a time.
func sinceOnWebhook[T any](prog *Program, cmd *cobra.Command, path string, print func(io.Writer, T)) *cobra.Command {
	var since string
	cmd.Flags().StringVar(&since, "since", "", "a time, such as 2026-01-01T00:00:00Z, or how long ago, such as 24h")
	return onWebhook(prog, cmd, func(ctx context.Context, c webhooksClient, args []string) (done T, err error) {
		at, err := time.Parse(time.RFC3339, since)
		if ago, failed := time.ParseDuration(since); err != nil && failed == nil {
			at, err = time.Now().Add(-ago), nil
		}
		if err != nil {
			return done, UsageError(cmd, "--since must be a time such as 2026-01-01T00:00:00Z, or how long ago, such as 24h; it is %q", since)
		}
		return post[T](ctx, c, args[0], path, map[string]any{"since": at.UTC()})
	}, print)
}

func (prog *Program) webhooksTest() *cobra.Command {
	cmd := &cobra.Command{Use: "test ID", Short: "Send a webhook an event that is none of the log, and print how it was answered"}
	return onWebhook(prog, cmd, func(ctx context.Context, c webhooksClient, args []string) (delivery.AttemptRecord, error) {
		return post[delivery.AttemptRecord](ctx, c, args[0], "/test", nil)
	}, func(w io.Writer, a delivery.AttemptRecord) { attemptTable(w, []delivery.AttemptRecord{a}) })
}

func (prog *Program) webhooksAttempts() *cobra.Command {
	var failed bool
	var position int64
	var limit int
	var after string
	cmd := &cobra.Command{Use: "attempts ID", Short: "List the attempts to deliver to a webhook, those of the last events first"}
	cmd.Flags().BoolVar(&failed, "failed", false, "only those that failed")
	cmd.Flags().Int64Var(&position, "position", 0, "only those of the event at a position")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many to list at most, up to 1000")
	cmd.Flags().StringVar(&after, "after", "", "next of the page before")
	return onWebhook(prog, cmd, func(ctx context.Context, c webhooksClient, args []string) (page webhookPage[delivery.EventAttempt], err error) {
		query := url.Values{"limit": {strconv.Itoa(limit)}, "position": {strconv.FormatInt(position, 10)}}
		if failed {
			query.Set("failed", "true")
		}
		if after != "" {
			query.Set("after", after)
		}
		return page, c.call(ctx, http.MethodGet, webhookPath(args[0], "/attempts?"+query.Encode()), nil, &page)
	}, func(w io.Writer, page webhookPage[delivery.EventAttempt]) {
		fmt.Fprintln(w, "POSITION\tATTEMPT\tAT\tTOOK\tOUTCOME\tSTATUS\tERROR OR ANSWER")
		for _, a := range page.Items {
			said := a.Error
			if said == "" {
				said = a.Answer
			}
			fmt.Fprintf(w, "%d\t%d\t%s\t%.0f ms\t%s\t%d\t%s\n", a.Position, a.Attempt, timeCell(&a.At), a.Milliseconds, a.Outcome, a.Status, Cell(said, 120))
		}
		if page.Next != nil {
			fmt.Fprintf(w, "\nthere are more: --after %s\n", *page.Next)
		}
	})
}
