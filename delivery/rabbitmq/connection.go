package rabbitmq

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/internal/brokers"
)

// connection is never made again by itself: what is sent on a channel of it comes in order, or not at all.
type connection struct {
	*amqp.Connection
	net      net.Conn
	channels map[int]*channel
}

func (c *connection) close() {
	c.net.SetDeadline(time.Now().Add(5 * time.Second))
	c.Connection.Close()
	c.net.Close()
	for _, ch := range c.channels {
		<-ch.ended
	}
}

// abort ends the connection without a word.
func (c *connection) abort() { c.net.Close() }

// channel is what the events of a partition are published on.
type channel struct {
	*amqp.Channel
	conn       *connection
	publishing sync.Mutex
	// asked has who wants to know which messages came back.
	asked chan question
	// ended is closed when the channel is, with failure, and nothing comes any more.
	ended   chan struct{}
	failure error
}

type question struct {
	events []delivery.Event
	answer chan map[string]string
}

// watch collects messages that come back, which it knows of before they are confirmed.
func (ch *channel) watch(returns <-chan amqp.Return, closed <-chan *amqp.Error) {
	defer close(ch.ended)
	back := make(map[string]string)
	for {
		select {
		case r, ok := <-returns:
			if !ok {
				returns = nil
				continue
			}
			back[r.MessageId] = fmt.Sprintf("%d %s", r.ReplyCode, r.ReplyText)
		case q := <-ch.asked:
			answer := make(map[string]string)
			if len(back) > 0 {
				for i := range q.events {
					id := q.events[i].MessageID.String()
					if why, ok := back[id]; ok {
						answer[id] = why
						delete(back, id)
					}
				}
			}
			q.answer <- answer
		case err := <-closed:
			ch.failure = amqp.ErrClosed
			if err != nil {
				ch.failure = err
			}
			return
		}
	}
}

// returned returns why which of the events came back, by message id.
func (ch *channel) returned(events []delivery.Event) map[string]string {
	q := question{events, make(chan map[string]string, 1)}
	select {
	case ch.asked <- q:
		return <-q.answer
	case <-ch.ended:
		return nil
	}
}

// why returns what ended the channel.
func (ch *channel) why() error {
	if !ch.IsClosed() {
		return nil
	}
	<-ch.ended
	return fmt.Errorf("the connection to RabbitMQ is lost: %w", ch.failure)
}

// channel returns that of a partition, the one that there is or a new one.
func (t *Target) channel(ctx context.Context, partition int) (*channel, error) {
	t.connecting.Lock()
	defer t.connecting.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if t.conn == nil || t.conn.IsClosed() {
		conn, err := connect(ctx, &t.config.RabbitMQConnection, t.dialer)
		if err != nil {
			return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
		}
		t.conn = conn
	}
	ch := t.conn.channels[partition]
	if ch != nil && !ch.IsClosed() {
		return ch, nil
	}
	// A broker that does not answer holds up who opens a channel.
	defer context.AfterFunc(ctx, t.conn.abort)()
	opened, err := t.conn.Channel()
	if err == nil {
		err = opened.Confirm(false)
	}
	if err != nil {
		return nil, fmt.Errorf("open a channel of RabbitMQ: %w", err)
	}
	ch = &channel{Channel: opened, conn: t.conn, asked: make(chan question), ended: make(chan struct{})}
	t.conn.channels[partition] = ch
	go ch.watch(opened.NotifyReturn(make(chan amqp.Return)), opened.NotifyClose(make(chan *amqp.Error, 1)))
	return ch, nil
}

// connect makes a connection as a definition says.
func connect(ctx context.Context, to *delivery.RabbitMQConnection, dialer *net.Dialer) (*connection, error) {
	c := &connection{channels: make(map[int]*channel)}
	stop := func() bool { return true }
	defer func() { stop() }()
	config := amqp.Config{
		Heartbeat: 10 * time.Second, Properties: amqp.Table{"product": "recount", "connection_name": "recount"},
		SASL: []amqp.Authentication{&amqp.PlainAuth{Username: "guest", Password: "guest"}},
		Dial: func(network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			c.net = conn
			stop = context.AfterFunc(ctx, c.abort) // heartbeats end what hangs once the connection is open
			return conn, nil
		},
	}
	if to.User != "" {
		password, err := to.Password.Read()
		if err != nil {
			return nil, err
		}
		config.SASL = []amqp.Authentication{&amqp.PlainAuth{Username: to.User, Password: password}}
	}
	var err error
	if config.TLSClientConfig, err = brokers.TLS(to.TLS); err != nil {
		return nil, err
	}
	if c.Connection, err = amqp.DialConfig(to.URL, config); err != nil {
		if c.net != nil {
			c.net.Close()
		}
		return nil, err
	}
	return c, nil
}
