package rabbitmq

import (
	"context"
	"fmt"
	"net"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/57528e99/recount/delivery/inbox"
	"github.com/57528e99/recount/delivery/internal/brokers"
)

// most is how many messages are appended, and under way, at once.
const most = 500

// Consume hands the messages of a queue over to an inbox, in order, until ctx ends, the connection is lost or the queue deleted: see inbox.Inbox.Run. The dialer
// makes the connection.
func Consume(ctx context.Context, into *inbox.Inbox, dialer *net.Dialer) error {
	c := into.Config().RabbitMQ
	conn, err := connect(ctx, &c.RabbitMQConnection, dialer)
	if err != nil {
		return fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	defer conn.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, conn.abort)()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	if err := ch.Qos(most, 0, false); err != nil {
		return err
	}
	came, err := ch.Consume(c.Queue, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume the queue %s: %w", c.Queue, err)
	}
	for {
		list := brokers.Collect(ctx.Done(), came, most)
		if list == nil {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case !ch.IsClosed():
				return fmt.Errorf("RabbitMQ has ended the consumer, as it does when the queue %s is deleted", c.Queue)
			}
			var why error = amqp.ErrClosed
			select {
			case err := <-closed:
				if err != nil {
					why = err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
			return fmt.Errorf("the connection to RabbitMQ is lost: %w", why)
		}
		messages := make([]inbox.Message, len(list))
		for n := range list {
			messages[n] = message(&list[n])
		}
		if err := into.Append(ctx, messages, func() {}); err != nil {
			return err
		}
		if err := ch.Ack(list[len(list)-1].DeliveryTag, true); err != nil {
			return err
		}
	}
}

func message(d *amqp.Delivery) inbox.Message {
	made := inbox.Message{ID: d.MessageId, Topic: d.RoutingKey, Key: d.RoutingKey, ContentType: d.ContentType, Body: d.Body}
	for name, value := range d.Headers {
		name = strings.ToLower(name)
		text, isText := value.(string)
		rest, found := strings.CutPrefix(name, "cloudevents:")
		if !found {
			rest, found = strings.CutPrefix(name, "cloudevents_")
		}
		if found && isText {
			if made.CloudEvent == nil {
				made.CloudEvent = make(map[string]string)
			}
			made.CloudEvent[rest] = text
		}
	}
	return made
}
