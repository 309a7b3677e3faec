package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/pgerr"
)

func (prog *Program) relayCommand() *cobra.Command {
	var o pgstore.Outbox
	var once bool
	every := 500 * time.Millisecond
	cmd := &cobra.Command{
		Use:   "relay --table TABLE",
		Short: "Append the rows of an outbox table",
		Long: `Append the rows of an outbox table: one in the database of the log, to which a program of yours adds a row
for each event, in the transaction of what has happened. Rows that come are looked for until it is interrupted.

Each is appended once, and none is left out. With --delete rows are deleted as they are appended, in the order
in which they become visible. Without it they stay: --order must be a number that a sequence gives, NOT NULL and
with a unique index on it alone; rows come in its order, and a row waits until all transactions that write to the
table have ended which began before it was seen. The table must be an ordinary one: no partitions, no children.

A row that cannot be appended ends it, and is named. An error that passes, such as a lost connection, is told, and
it goes on; with --once that ends it too.`,
		Example: `  {program} relay --table outbox --key order_id
  {program} relay --table shop.outbox --type event_type --stream stream --order created_at --delete --once`,
		Args: NoArgs,
	}
	d := prog.databaseFlags(cmd, "that of {program} dev")
	flags := cmd.Flags()
	flags.StringVar(&o.Table, "table", "", "the table, which may be SCHEMA.TABLE")
	flags.StringVar(&o.ID, "id", "id", "column with the id of the event: a UUID, or whatever is unique")
	flags.StringVar(&o.Type, "type", "type", "column with its type")
	flags.StringVar(&o.Payload, "payload", "payload", "column with its data")
	flags.StringVar(&o.Stream, "stream", "", "column with the name of its stream")
	flags.StringVar(&o.Key, "key", "", "column with what is behind TABLE- in the name of its stream (default: all are in the stream TABLE)")
	flags.StringVar(&o.Created, "created", "", "column with its business time")
	flags.StringVar(&o.Order, "order", "", "column to order by (default: that of --id)")
	flags.BoolVar(&o.Delete, "delete", false, "delete rows as they are appended")
	flags.IntVar(&o.Batch, "batch", 100, "how many rows are appended in a transaction")
	flags.BoolVar(&once, "once", false, "end when all that is there is appended")
	flags.DurationVar(&every, "every", every, "how long to wait before looking for more rows")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.Table == "" {
			return UsageError(cmd, "--table must name the outbox")
		}
		return d.withService(cmd.Context(), app.Options{}, func(s *app.Service) error { return prog.relay(cmd.Context(), s, o, once, every) })
	}
	return cmd
}

// relay appends rows until its context ends, or an error does not pass.
func (prog *Program) relay(ctx context.Context, s *app.Service, o pgstore.Outbox, once bool, every time.Duration) error {
	loop := background.Loop{Idle: max(every, time.Millisecond), Failed: func(err error, pause time.Duration) {
		fmt.Fprintf(prog.Stderr, "%v; it tries again in %s\n", err, pause.Round(time.Millisecond))
	}}
	return loop.Run(ctx, func(ctx context.Context) (background.Next, error) {
		n, err := s.Postgres.Relay(ctx, o)
		if n > 0 || once && err == nil {
			fmt.Fprintf(prog.Stderr, "%d rows of %s appended\n", n, o.Table)
		}
		switch {
		case ctx.Err() != nil:
			return background.Done, context.Cause(ctx)
		case once || err != nil && !passes(err):
			return background.Done, err
		case n > 0:
			return background.Again, err
		}
		return background.Idle, err
	})
}

// passes reports that what a relay could not do it may do soon: what it appends again is there once.
func passes(err error) bool {
	switch eventstore.ClassOf(err) {
	case eventstore.ClassUnavailable, eventstore.ClassOutcomeUnknown, eventstore.ClassOverloaded, eventstore.ClassTimeout:
		return !pgerr.IsPermanent(err)
	}
	return false
}
