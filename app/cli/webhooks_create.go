package cli

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/httpapi/adminapi"
)

func (prog *Program) webhooksCreate() *cobra.Command {
	var id, owner, description, filter, env, file, start string
	var types []string
	var rate float64
	order, signature := NewChoice("none", "stream"), NewChoice("v1", "v1a")
	cmd := &cobra.Command{
		Use:   "create URL",
		Short: "Make a webhook, and print its secret",
		Long: `Make a webhook, and print its secret. Events are sent as they come, or, with --order stream, one after another of each
stream: then one that fails holds the later ones of its stream back.`,
		Example: "  {program} webhooks create https://example.com/hooks --owner acme --type OrderPlaced --type OrderShipped",
		Args:    OneArg("URL"),
	}
	flags := cmd.Flags()
	flags.StringVar(&id, "id", "", "what to call it (default: random letters)")
	flags.StringVar(&owner, "owner", "", "whose it is")
	flags.StringVar(&description, "description", "", "what it is for")
	flags.StringSliceVar(&types, "type", nil, "type of the events; may be repeated (default all)")
	flags.StringVar(&filter, "filter", "", "pattern of the events, as JSON, instead of --type")
	flags.StringVar(&start, "start", "", `where to begin: beginning or end (default end)`)
	flags.Float64Var(&rate, "rate", 0, "requests a second at most that a process sends; 0: as many as there are")
	flags.Var(order, "order", "by what events are kept in order")
	flags.Var(signature, "signature", "scheme of Standard Webhooks: v1 has a secret on both sides, v1a a public key for the receiver")
	flags.StringVar(&env, "secret-env", "", "variable RECOUNT_SECRET_… of the processes that deliver that has the secret, instead of one that is made")
	flags.StringVar(&file, "secret-file", "", "file on their machines that has it")
	return onWebhook(prog, cmd, func(ctx context.Context, c webhooksClient, args []string) (h adminapi.Webhook, err error) {
		body := map[string]any{"url": args[0], "order": order.value}
		for name, value := range map[string]string{"id": id, "owner": owner, "description": description, "start": start} {
			if value != "" {
				body[name] = value
			}
		}
		if len(types) > 0 {
			body["types"] = types
		}
		if filter != "" {
			if !json.Valid([]byte(filter)) {
				return h, UsageError(cmd, "--filter must be JSON")
			}
			body["filter"] = json.RawMessage(filter)
		}
		if rate != 0 {
			body["rate_limit"] = rate
		}
		switch {
		case env != "" && file != "":
			return h, UsageError(cmd, "--secret-env or --secret-file, not both")
		case env+file != "" && flags.Changed("signature"):
			return h, UsageError(cmd, "--signature is of secrets that are made: a secret says by itself how it signs")
		case env != "":
			body["secret"] = map[string]string{"env": env}
		case file != "":
			body["secret"] = map[string]string{"file": file}
		default:
			body["signature"] = signature.value
		}
		return h, c.call(ctx, http.MethodPost, "/v1/webhooks", body, &h)
	}, webhookDetails)
}
