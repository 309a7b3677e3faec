package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook"
	"github.com/57528e99/recount/httpapi/adminapi"
)

func (prog *Program) webhooksCommand() *cobra.Command {
	return Group(&cobra.Command{Use: "webhooks", Short: "Inspect and manage webhooks, and receive them"},
		prog.webhooksList(), prog.webhooksShow(), prog.webhooksCreate(), prog.webhooksRotate(), prog.webhooksSecret(), prog.webhooksDisable(), prog.webhooksEnable(),
		prog.webhooksResend(), prog.webhooksRecover(), prog.webhooksReplayMissing(), prog.webhooksTest(), prog.webhooksAttempts(), prog.webhooksDelete(), prog.webhooksListen(), prog.webhooksVerify())
}

// webhooksClient has a running server do what is done with webhooks: it has the key that their secrets are derived from.
type webhooksClient struct{ *operationsClient }

func webhookPath(id, behind string) string { return "/v1/webhooks/" + url.PathEscape(id) + behind }

// onWebhook makes cmd a command about the webhook that its first argument names.
func onWebhook[T any](prog *Program, cmd *cobra.Command, ask func(ctx context.Context, c webhooksClient, args []string) (T, error), table func(io.Writer, T)) *cobra.Command {
	if cmd.Args == nil {
		cmd.Args = OneArg("webhook")
	}
	out := OutputFlag(cmd)
	client := &operationsClient{}
	client.flags(prog, cmd.Flags(), "address of the server")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		answer, err := ask(cmd.Context(), webhooksClient{client}, args)
		if err != nil {
			return err
		}
		return out.Print(prog.Stdout, answer, func(w io.Writer) { table(w, answer) })
	}
	return cmd
}

// post asks for something to be done with a webhook.
func post[T any](ctx context.Context, c webhooksClient, id, behind string, body any) (answer T, err error) {
	return answer, c.call(ctx, http.MethodPost, webhookPath(id, behind), body, &answer)
}

// webhookPage is a page of a list.
type webhookPage[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
}

func (prog *Program) webhooksList() *cobra.Command {
	var owner, after string
	var limit int
	cmd := &cobra.Command{Use: "ls", Short: "List webhooks", Args: NoArgs}
	cmd.Flags().StringVar(&owner, "owner", "", "only those of an owner")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many to list at most, up to 1000")
	cmd.Flags().StringVar(&after, "after", "", "next of the page before")
	return onWebhook(prog, cmd, func(ctx context.Context, c webhooksClient, _ []string) (page webhookPage[adminapi.Webhook], err error) {
		query := url.Values{"limit": {strconv.Itoa(limit)}}
		if owner != "" {
			query.Set("owner", owner)
		}
		if after != "" {
			query.Set("after", after)
		}
		return page, c.call(ctx, http.MethodGet, "/v1/webhooks?"+query.Encode(), nil, &page)
	}, func(w io.Writer, page webhookPage[adminapi.Webhook]) {
		webhookTable(w, page.Items...)
		if page.Next != nil {
			fmt.Fprintf(w, "\nthere are more: --after %s\n", *page.Next)
		}
	})
}

func webhookTable(w io.Writer, all ...adminapi.Webhook) {
	fmt.Fprintln(w, "ID\tSTATE\tDELIVERY\tOWNER\tURL\tDELIVERED\tWAITING\tDEAD")
	for _, h := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\n", h.ID, h.State, h.Delivery, Cell(h.Owner, 40), Cell(h.URL, 60), h.Delivered, h.Waiting, h.Dead)
	}
}

// webhookDetails prints all about one, and its secrets if they are there.
func webhookDetails(w io.Writer, h adminapi.Webhook) {
	webhookTable(w, h)
	fmt.Fprintf(w, "\norder %s, filter %s, signed by %s\n", h.Order, orNothing(h.Filter), signedBy(h))
	if d := h.Disabled; d != nil {
		fmt.Fprintf(w, "\ndisabled by the %s", d.By)
		if d.At != nil {
			fmt.Fprintf(w, " at %s: %s", timeCell(d.At), Cell(d.Error, 1000))
		}
		fmt.Fprintln(w)
	}
	if h.LastError != nil {
		fmt.Fprintf(w, "\nlast error at %s: %s\n", h.LastError.At.Format(timeFormat), Cell(h.LastError.Error, 1000))
	}
	secretTable(w, h.Secrets)
}

func signedBy(h adminapi.Webhook) string {
	if h.Secret != nil {
		return "the secrets in " + h.Secret.String()
	}
	ids := make([]string, len(h.Keys))
	for i, k := range h.Keys {
		if ids[i] = k.ID; !k.Until.IsZero() {
			ids[i] += " until " + k.Until.Format(timeFormat)
		}
	}
	return string(h.Signature) + " with " + strings.Join(ids, ", ")
}

func secretTable(w io.Writer, all []webhook.Secret) {
	for _, s := range all {
		until := ""
		if !s.Until.IsZero() {
			until = "  until " + s.Until.Format(timeFormat)
		}
		fmt.Fprintf(w, "\nsecret: %s%s%s\n", s.Secret, s.PublicKey, until)
	}
}

func (prog *Program) webhooksShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: "Print all about a webhook but its secrets"}
	return onWebhook(prog, cmd, func(ctx context.Context, c webhooksClient, args []string) (h adminapi.Webhook, err error) {
		return h, c.call(ctx, http.MethodGet, webhookPath(args[0], ""), nil, &h)
	}, webhookDetails)
}

func (prog *Program) webhooksDelete() *cobra.Command {
	var discard, yes bool
	cmd := &cobra.Command{Use: "delete ID", Short: "Remove a webhook with all that it remembers"}
	cmd.Flags().BoolVar(&discard, "discard-dead", false, "also if it has dead letters")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return onWebhook(prog, cmd, func(ctx context.Context, c webhooksClient, args []string) (done delivery.Change, err error) {
		if err := prog.confirm(ctx, yes, fmt.Sprintf("this removes webhook %s and what waits for it", args[0])); err != nil {
			return done, err
		}
		behind := ""
		if discard {
			behind = "?discard_dead=true"
		}
		return done, c.call(ctx, http.MethodDelete, webhookPath(args[0], behind), nil, &done)
	}, func(w io.Writer, done delivery.Change) { changesTable(w, []delivery.Change{done}) })
}
