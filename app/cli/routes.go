package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/httpapi/adminapi"
)

func (prog *Program) routesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "routes", Short: "Say which subscriptions events are for"}
	d := prog.databaseFlags(cmd, "a server does it, see --server of the commands")
	return Group(cmd, prog.routesExplain(d))
}

func (prog *Program) routesExplain(d *database) *cobra.Command {
	var q delivery.RoutesQuery
	cmd := &cobra.Command{
		Use:   "explain EVENT",
		Short: "List the subscriptions that an event matches and what became of it there, then the others and why not",
		Long: `List the subscriptions that an event matches and what became of it there, then the others and why not.
EVENT is the position of an event or its id, or an event that need not be on the log: JSON, @FILE or - for stdin, as
{program} pattern test takes it. Of that is said what would become of it if it were appended now.`,
		Example: "  {program} routes explain 1200\n" +
			`  {program} routes explain '{"type":"OrderPlaced","data":{"total_minor":180000}}'`,
		Args: OneArg("event"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.Flags().IntVar(&q.Limit, "limit", delivery.DefaultRoutes, "how many subscriptions to list at most, up to 1000")
	cmd.Flags().StringVar(&q.After, "after", "", "list those behind a page: its next, which it ends with")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if q.Limit < 1 || q.Limit > delivery.MaxRoutes {
			return UsageError(cmd, "--limit must be from 1 to %d; it is %d", delivery.MaxRoutes, q.Limit)
		}
		text, err := prog.readEvent(args[0])
		if err != nil {
			return err
		}
		if q, err = routesOf(text, q); err != nil {
			return err
		}
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			page, err := op.RoutesOf(cmd.Context(), q, text)
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, page, func(w io.Writer) { routesTable(w, page) })
		})
	}
	return cmd
}

// routesOf is the query for an event that is JSON of it, or of its position or id.
func routesOf(event jsontext.Value, q delivery.RoutesQuery) (delivery.RoutesQuery, error) {
	switch event.Kind() {
	case '{':
		e, err := pattern.ParseEvent(event)
		if err != nil {
			return q, Fail(ExitUsage, fmt.Errorf("event: %w", err), "")
		}
		q.Event = &e
		return q, nil
	case '"':
		return q, json.Unmarshal(event, &q.ID)
	}
	return q, json.Unmarshal(event, &q.Position)
}

// RoutesOf returns a page of what subscriptions have to do with an event, as the API does. Event is what the query has as its Event.
func (a subscriptionsAdmin) RoutesOf(ctx context.Context, q delivery.RoutesQuery, _ jsontext.Value) (adminapi.Routes, error) {
	page, err := a.Routes(ctx, q)
	return adminapi.NewRoutes(page), err
}

// RoutesOf is that of subscriptionsAdmin, by a server.
func (c subscriptionsClient) RoutesOf(ctx context.Context, q delivery.RoutesQuery, event jsontext.Value) (page adminapi.Routes, err error) {
	const path = "/v1/routes/explain"
	if q.Event != nil {
		return page, c.call(ctx, http.MethodPost, path, map[string]any{"event": event, "limit": q.Limit, "after": q.After}, &page)
	}
	query := url.Values{"limit": {strconv.Itoa(q.Limit)}}
	if q.After != "" {
		query.Set("after", q.After)
	}
	which := q.ID.String()
	if q.Position > 0 {
		which = strconv.FormatInt(q.Position, 10)
	}
	return page, c.call(ctx, http.MethodGet, path+"/"+which+"?"+query.Encode(), nil, &page)
}

func routesTable(w io.Writer, page adminapi.Routes) {
	fmt.Fprintln(w, "SUBSCRIPTION\tMATCHES\tSTATE\tWHY")
	for _, r := range page.Items {
		matches := "no"
		if r.Matches {
			matches = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Subscription, matches, r.State, Cell(r.Text, 1000))
	}
	fmt.Fprintf(w, "\n%d of %d subscriptions match\n", page.Matching, page.Subscriptions)
	if page.Next != nil {
		fmt.Fprintf(w, "there are more: --after=%s\n", *page.Next)
	}
}
