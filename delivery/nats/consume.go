package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/57528e99/recount/delivery/inbox"
	"github.com/57528e99/recount/delivery/internal/brokers"
)

// most is how many messages are appended, and under way, at once.
const most = 500

// Consume hands the messages of a stream over to an inbox, in order if nobody else consumes them, until ctx ends or the connection is lost: see
// inbox.Inbox.Run. The dialer makes the connection.
func Consume(ctx context.Context, into *inbox.Inbox, dialer *net.Dialer) error {
	c := into.Config().NATS
	conn, err := open(ctx, &c.NATSConnection, dialer)
	if err != nil {
		return err
	}
	defer func() { conn.abort(); <-conn.lost }()
	js := conn.js
	consumer, err := js.Consumer(ctx, c.Stream, c.Consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		consumer, err = js.CreateConsumer(ctx, c.Stream, jetstream.ConsumerConfig{
			Durable: c.Consumer, FilterSubject: c.Subject, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second,
			MaxAckPending: most,
		})
	}
	if err != nil {
		return fmt.Errorf("consumer %s of the stream %s: %w", c.Consumer, c.Stream, err)
	}
	if info := consumer.CachedInfo(); info.NumAckPending > 0 {
		// What came before, and was not acknowledged, would come again behind what is newer.
		if _, err := js.ResetConsumer(ctx, c.Stream, c.Consumer); err != nil {
			// An older server cannot. It hands those out first when their time is over.
			select {
			case <-time.After(info.Config.AckWait + time.Second):
			case <-conn.lost:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	came, failed := make(chan jetstream.Msg, most), make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, conn.abort)()
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		select {
		case came <- m:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(most), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		if errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrServerShutdown) {
			select {
			case failed <- err:
			default:
			}
			cancel()
		}
	}))
	if err != nil {
		return err
	}
	defer consuming.Stop()
	for {
		list := brokers.Collect(conn.lost, came, most)
		if list == nil {
			select {
			case err := <-failed:
				return err
			default:
				return fmt.Errorf("the connection to NATS is lost: %w", errors.Join(conn.LastError(), natsgo.ErrConnectionClosed))
			}
		}
		messages := make([]inbox.Message, len(list))
		for n, m := range list {
			if messages[n], err = message(m); err != nil {
				return err
			}
		}
		if err := into.Append(ctx, messages, func() {
			for _, m := range list {
				_ = m.InProgress() // it would come again
			}
		}); err != nil {
			return err
		}
		for _, m := range list {
			if err := m.Ack(); err != nil {
				return err
			}
		}
	}
}

func message(m jetstream.Msg) (inbox.Message, error) {
	at, err := m.Metadata()
	if err != nil {
		return inbox.Message{}, err
	}
	// With the time, as a stream that is made again begins with 1.
	made := inbox.Message{Place: fmt.Sprintf("%s/%d@%d", at.Stream, at.Sequence.Stream, at.Timestamp.UnixNano()), Topic: m.Subject(), Key: m.Subject(), Body: m.Data()}
	for name, values := range m.Headers() {
		value := values[0]
		switch name = strings.ToLower(name); {
		case name == "content-type":
			made.ContentType = value
		case name == strings.ToLower(jetstream.MsgIDHeader):
			made.ID = value
		case strings.HasPrefix(name, "ce-"):
			if made.CloudEvent == nil {
				made.CloudEvent = make(map[string]string)
			}
			if decoded, err := url.PathUnescape(value); err == nil {
				value = decoded
			}
			made.CloudEvent[name[len("ce-"):]] = value
		}
	}
	return made, nil
}
