package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/internal/brokers"
)

// Target publishes the events of a subscription to an exchange, as persistent messages: those of a partition on a channel of its own, in
// order. An event is delivered when the broker confirms it; one that no queue gets has failed for good.
type Target struct {
	config   *delivery.RabbitMQTarget
	key      brokers.Name
	encoding brokers.Encoding
	dialer   *net.Dialer

	// connecting holds up those who need a connection or a channel while one of them makes it.
	connecting sync.Mutex
	conn       *connection
}

var _ delivery.Target = (*Target)(nil)

// maxKey is how long a routing key may be, as all short strings of AMQP.
const maxKey = 255

// New returns the target of a subscription that goes to delivery.RabbitMQTarget; Close it. The dialer makes its connections. Nothing is
// connected to and no secret is read before something is delivered.
func New(d delivery.Definition, dialer *net.Dialer) (*Target, error) {
	d, err := d.Checked()
	if err != nil {
		return nil, err
	}
	c := d.Target.RabbitMQ
	return &Target{
		config: c, dialer: dialer, key: brokers.NewName(c.RoutingKey, maxKey, brokers.Token),
		// As those of AMQP 1.0, which RabbitMQ makes application properties of.
		encoding: brokers.Encoding{Format: c.Format, Prefix: "cloudEvents:"},
	}, nil
}

// Close closes the connection. It is called after the last attempt.
func (t *Target) Close() {
	t.connecting.Lock()
	defer t.connecting.Unlock()
	if t.conn != nil {
		t.conn.close()
	}
}

// Deliver implements delivery.Target.
func (t *Target) Deliver(ctx context.Context, d *delivery.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	attempt, cancel := context.WithTimeout(ctx, time.Duration(t.config.Timeout))
	defer cancel()
	ch, err := t.channel(attempt, d.Partition)
	if err != nil {
		return brokers.Down(ctx, err)
	}
	errs := make([]error, len(d.Events))
	confirms := t.publish(attempt, ch, d, errs)
	for i, confirm := range confirms {
		if confirm == nil {
			continue
		}
		select {
		case <-confirm.Done():
			switch {
			case confirm.Acked():
			case ch.IsClosed():
				errs[i] = ch.why()
			default:
				errs[i] = delivery.Throttled(errors.New("RabbitMQ did not take it, as a queue does that is full"), 0)
			}
		case <-attempt.Done():
			errs[i] = fmt.Errorf("RabbitMQ did not confirm it within %s: %w", time.Duration(t.config.Timeout), attempt.Err())
		}
	}
	if attempt.Err() != nil && ctx.Err() == nil {
		ch.conn.abort() // what does not answer in time gets no more, and nothing that was sent comes behind what is sent again
	}
	returned := ch.returned(d.Events)
	for i := range errs {
		switch why := returned[d.Events[i].MessageID.String()]; {
		case why != "" && errs[i] == nil:
			errs[i] = delivery.Permanent(fmt.Errorf("no queue gets it: RabbitMQ returned it as %s", why))
		case errs[i] != nil && isDown(errs[i]):
			errs[i] = brokers.Down(ctx, errs[i])
		}
	}
	return brokers.Result(errs)
}

// isDown reports whether an error says nothing of its event.
func isDown(err error) bool {
	outcome, _ := delivery.OutcomeOf(err)
	return outcome == delivery.Transient && !errors.Is(err, brokers.ErrBehind)
}

// publish sends the events, and sets the errors of those that it cannot send. What it returns is nil for them.
func (t *Target) publish(ctx context.Context, ch *channel, d *delivery.Delivery, errs []error) []*amqp.DeferredConfirmation {
	confirms := make([]*amqp.DeferredConfirmation, len(d.Events))
	failed := make(map[string]bool)
	of := t.encoding.Attempt(d)
	ch.publishing.Lock()
	defer ch.publishing.Unlock()
	// A broker that reads nothing holds up who writes, who would not look at the context then.
	defer context.AfterFunc(ctx, ch.conn.abort)()
	var down error
	for i := range d.Events {
		e := &d.Events[i]
		key, err := t.key.Of(e)
		switch {
		case down != nil:
			err = down
		case failed[e.Key]:
			err = brokers.ErrBehind
		case err == nil && ctx.Err() != nil:
			err = ctx.Err()
		case err == nil:
			if confirms[i], err = ch.PublishWithDeferredConfirm(t.config.Exchange, key, true, false, t.message(of, e)); err != nil {
				down = fmt.Errorf("publish to RabbitMQ: %w", errors.Join(err, ch.why()))
				err = down
			}
		}
		if errs[i] = err; err != nil {
			failed[e.Key] = true
		}
	}
	return confirms
}

func (t *Target) message(of brokers.Attempt, e *delivery.Event) amqp.Publishing {
	m := of.Message(e)
	p := amqp.Publishing{
		DeliveryMode: amqp.Persistent, MessageId: e.MessageID.String(), Timestamp: e.RecordedAt, Body: m.Body, AppId: "recount",
		Headers: make(amqp.Table, len(m.Headers)),
	}
	if len(m.ContentType) <= maxKey {
		p.ContentType = m.ContentType
	}
	if len(e.Type) <= maxKey {
		p.Type = e.Type
	}
	for _, h := range m.Headers {
		p.Headers[h.Name] = h.Value
	}
	return p
}
