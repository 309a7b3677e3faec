package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/httpapi/adminapi"
	"github.com/57528e99/recount/operations"
)

func (prog *Program) subscriptionsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "subscriptions", Short: "Inspect and manage subscriptions"}
	d := prog.databaseFlags(cmd, "a server does it, see --server of the commands")
	return Group(cmd, prog.subscriptionsList(d), prog.subscriptionsShow(d), prog.subscriptionsApply(d), prog.subscriptionsPause(d),
		prog.subscriptionsResume(d), prog.subscriptionsSkip(d), prog.subscriptionsRetry(d), prog.subscriptionsReset(d),
		prog.subscriptionsReplay(d), prog.subscriptionsReplays(d), prog.subscriptionsExplain(d), prog.subscriptionsAudit(d),
		prog.subscriptionsPull(d), prog.subscriptionsDelete(d))
}

// applyCommand is subscriptions apply at the top level.
func (prog *Program) applyCommand() *cobra.Command {
	cmd := &cobra.Command{}
	return prog.applyTo(cmd, prog.databaseFlags(cmd, "a server does it, see --server"))
}

// subscriptionOperator is what can be done with subscriptions, as *delivery.Admin does it.
type subscriptionOperator interface {
	List(ctx context.Context) ([]delivery.Status, error)
	Get(ctx context.Context, name string) (delivery.Status, error)
	Apply(ctx context.Context, all []delivery.Definition, o delivery.ApplyOptions) ([]delivery.Change, error)
	Delete(ctx context.Context, name string, ifRevision int64, force bool, actor string) error
	Pause(ctx context.Context, name, actor string) error
	Resume(ctx context.Context, name, actor string) error
	Skip(ctx context.Context, name string, position int64, reason, actor string) (int64, error)
	RetryNow(ctx context.Context, name string, position int64, actor string) error
	Reset(ctx context.Context, name string, o delivery.ResetOptions) (delivery.Reset, error)
	Replay(ctx context.Context, name string, o delivery.ReplayOptions) (delivery.Replay, error)
	Replays(ctx context.Context, name string) ([]delivery.Replay, error)
	Audit(ctx context.Context, name string, limit int) ([]operations.AuditEntry, error)
	Explain(ctx context.Context, name string, position int64) (delivery.Explanation, error)
	ExplainEvent(ctx context.Context, name string, id uuid.UUID) (delivery.Explanation, error)
	RoutesOf(ctx context.Context, q delivery.RoutesQuery, event jsontext.Value) (adminapi.Routes, error)
	Dead(ctx context.Context, name string, q delivery.DeadQuery) ([]delivery.DeadLetter, string, error)
	DeadGroups(ctx context.Context, name string) ([]delivery.DeadGroup, error)
	ShowDead(ctx context.Context, name string, position int64) (adminapi.DeadLetter, error)
	Redrive(ctx context.Context, name string, o delivery.DeadOptions) (delivery.Wished, error)
	Discard(ctx context.Context, name string, o delivery.DeadOptions) (delivery.Wished, error)
	Resubmit(ctx context.Context, name string, r delivery.Resubmission) (adminapi.Resubmitted, error)
	Windows(ctx context.Context) ([]delivery.Windows, error)
	WindowsOf(ctx context.Context, name string, q delivery.WindowQuery) (all []delivery.OneWindow, next string, err error)
}

var (
	_ subscriptionOperator = subscriptionsAdmin{}
	_ subscriptionOperator = subscriptionsClient{}
)

// subscriptionsAdmin works on a database.
type subscriptionsAdmin struct{ *delivery.Admin }

// ShowDead returns a dead letter as the API does.
func (a subscriptionsAdmin) ShowDead(ctx context.Context, name string, position int64) (adminapi.DeadLetter, error) {
	d, err := a.DeadLetter(ctx, name, position)
	if err != nil {
		return adminapi.DeadLetter{}, err
	}
	return adminapi.NewDeadLetter(d), nil
}

// Resubmit appends an event in the place of a dead letter, and returns where as the API does.
func (a subscriptionsAdmin) Resubmit(ctx context.Context, name string, r delivery.Resubmission) (adminapi.Resubmitted, error) {
	done, err := a.Admin.Resubmit(ctx, name, r)
	return adminapi.NewResubmitted(name, done), err
}

// nameAndPosition are arguments for an event of a subscription.
func nameAndPosition(cmd *cobra.Command, args []string) (name string, position int64, err error) {
	if len(args) != 2 {
		return "", 0, UsageError(cmd, "%s needs a subscription and a position, got %d arguments", cmd.CommandPath(), len(args))
	}
	if position, err = strconv.ParseInt(args[1], 10, 64); err != nil || position < 1 {
		return "", 0, UsageError(cmd, "a position is a whole number from 1 on, not %q", args[1])
	}
	return args[0], position, nil
}

// lagCell says how far something is behind, or that nobody knows.
func lagCell(events *int64, seconds *float64) string {
	if events == nil || seconds == nil {
		return "unknown"
	}
	return fmt.Sprintf("%d events, %.1fs", *events, *seconds)
}

func timeCell(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(timeFormat)
}

// targetCell says where events go, in a word or two.
func targetCell(t delivery.TargetConfig) string {
	switch {
	case t.Handler != nil:
		return "handler " + t.Handler.Name
	case t.SQL != nil:
		return "sql " + t.SQL.Function
	case t.Append != nil:
		return "append " + t.Append.Stream
	case t.Requests() != nil:
		return t.Requests().URL
	case t.Gather != nil:
		return "gather by " + t.Gather.Correlate
	case t.Pull != nil:
		return "pull"
	case t.Window != nil:
		return "window " + t.Window.Stream
	case t.Email != nil:
		return "email from " + t.Email.From
	case t.NATS != nil:
		return "nats " + t.NATS.Subject
	case t.Kafka != nil:
		return "kafka " + t.Kafka.Topic
	case t.RabbitMQ != nil:
		return "rabbitmq " + t.RabbitMQ.Exchange + " " + t.RabbitMQ.RoutingKey
	}
	return ""
}

// owners are the processes that have partitions.
func owners(s delivery.Status) string {
	var all []string
	for _, p := range s.Partitions {
		if p.Owner != "" && !slices.Contains(all, p.Owner) {
			all = append(all, p.Owner)
		}
	}
	return strings.Join(all, " ")
}

func changesTable(w io.Writer, all []delivery.Change) {
	for _, c := range all {
		would := ""
		if c.DryRun && c.Done != delivery.Unchanged {
			would = "would be "
		}
		fmt.Fprintf(w, "%s: %s%s", c.Subscription, would, c.Done)
		if would == "" && c.Revision > 0 && c.Done != delivery.Deleted {
			fmt.Fprintf(w, ", revision %d", c.Revision)
		}
		fmt.Fprintln(w)
		for _, f := range c.Fields {
			fmt.Fprintf(w, "  %s: %s -> %s\n", f.Pointer, orNothing(f.Was), orNothing(f.Is))
		}
		for _, effect := range c.Effects {
			fmt.Fprintf(w, "  %s\n", Cell(effect, 1000))
		}
	}
}

func orNothing(text []byte) string {
	if len(text) == 0 {
		return "nothing"
	}
	return Cell(string(text), 500)
}
