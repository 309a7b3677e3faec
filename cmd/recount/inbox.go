package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/inbox"
	"github.com/57528e99/recount/delivery/kafka"
	"github.com/57528e99/recount/delivery/nats"
	"github.com/57528e99/recount/delivery/rabbitmq"
)

// inboxes adds the command that consumes from brokers.
func inboxes() cli.Extension {
	return cli.Extension{Commands: func(prog *cli.Program) []*cobra.Command { return []*cobra.Command{inboxCommand(prog)} }}
}

func inboxCommand(prog *cli.Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inbox FILE",
		Short: "Append messages of NATS, Kafka or RabbitMQ to the log, each once, until it is interrupted",
		Long: `Append messages of NATS, Kafka or RabbitMQ to the log, each once, until it is interrupted. FILE is JSON; - is
stdin:

  {"name": "payments", "stream": "payment-{key}", "kafka": {"brokers": ["kafka-1:9092"], "topics": ["payments"]}}

The broker is told that it is rid of a message when the log has it. Run it as often as you like: what one process
has appended no other appends again.`,
		Example: "  {program} inbox payments.json",
		Args:    cli.OneArg("file"),
	}
	onDatabase := prog.DatabaseFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		config, err := readInbox(prog, args[0])
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		return onDatabase(cmd.Context(), func(s *app.Service) error {
			return runInbox(cmd.Context(), config, s, zerolog.New(prog.Stderr).With().Timestamp().Logger())
		})
	}
	return cmd
}

func readInbox(prog *cli.Program, name string) (delivery.Inbox, error) {
	read := func() ([]byte, error) { return os.ReadFile(name) }
	if name == "-" {
		read = func() ([]byte, error) { return io.ReadAll(prog.Stdin) }
	}
	text, err := read()
	if err != nil {
		return delivery.Inbox{}, err
	}
	return delivery.ParseInbox(text)
}

func runInbox(ctx context.Context, config delivery.Inbox, s *app.Service, logger zerolog.Logger) error {
	into, err := inbox.New(config, s.Log, logger)
	if err != nil {
		return err
	}
	consume := rabbitmq.Consume
	switch {
	case config.NATS != nil:
		consume = nats.Consume
	case config.Kafka != nil:
		consume = kafka.Consume
	}
	logger.Info().Str("inbox", config.Name).Msg("consume")
	// Who runs this says where it connects to.
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	into.Run(ctx, func(ctx context.Context) error { return consume(ctx, into, dialer) })
	return nil
}
