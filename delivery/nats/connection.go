package nats

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/internal/brokers"
)

// connection is never made again by itself: what is sent on it comes in order, or not at all.
type connection struct {
	*natsgo.Conn
	js  jetstream.JetStream
	net net.Conn
	// lost is closed when it is.
	lost chan struct{}
}

// abort ends the connection without a word. Close alone would wait for a server that reads nothing.
func (c *connection) abort() {
	c.net.Close()
	c.Close()
}

// connected returns a connection, the one that there is or a new one.
func (t *Target) connected(ctx context.Context) (*connection, error) {
	t.connecting.Lock()
	defer t.connecting.Unlock()
	if t.conn != nil && !t.conn.IsClosed() {
		return t.conn, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := open(ctx, &t.config.NATSConnection, t.dialer)
	if err != nil {
		return nil, err
	}
	t.conn = c
	return c, nil
}

// open makes a connection as a definition says.
func open(ctx context.Context, to *delivery.NATSConnection, dialer *net.Dialer) (*connection, error) {
	dialed := &dial{ctx: ctx, dialer: dialer}
	options, err := options(ctx, to, dialed)
	if err != nil {
		return nil, err
	}
	c := &connection{lost: make(chan struct{})}
	c.Conn, err = natsgo.Connect(strings.Join(to.Servers, ","), append(options, natsgo.ClosedHandler(func(*natsgo.Conn) { close(c.lost) }))...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	c.net = dialed.conn
	if c.js, err = jetstream.New(c.Conn, jetstream.WithPublishAsyncMaxPending(1<<20)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// options are those of a connection as a definition says, that is made while ctx lasts.
func options(ctx context.Context, c *delivery.NATSConnection, dialed *dial) ([]natsgo.Option, error) {
	timeout := 10 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline))
	}
	options := []natsgo.Option{
		natsgo.Name("recount"), natsgo.NoReconnect(), natsgo.Timeout(timeout), natsgo.SetCustomDialer(dialed),
		natsgo.IgnoreDiscoveredServers(), natsgo.PingInterval(20 * time.Second), natsgo.MaxPingsOutstanding(2),
		natsgo.FlusherTimeout(10 * time.Second),
		// By default errors that come by themselves are printed.
		natsgo.ErrorHandler(func(*natsgo.Conn, *natsgo.Subscription, error) {}),
	}
	tls, err := brokers.TLS(c.TLS)
	if err != nil {
		return nil, err
	}
	if tls != nil {
		options = append(options, natsgo.Secure(tls))
	}
	switch {
	case c.User != "":
		password, err := c.Password.Read()
		if err != nil {
			return nil, err
		}
		options = append(options, natsgo.UserInfo(c.User, password))
	case c.Token.IsReference():
		token, err := c.Token.Read()
		if err != nil {
			return nil, err
		}
		options = append(options, natsgo.Token(token))
	case c.Credentials.IsReference():
		credentials, err := c.Credentials.ReadText()
		if err != nil {
			return nil, err
		}
		options = append(options, natsgo.UserCredentialBytes([]byte(credentials)))
	}
	return options, nil
}

// dial is a natsgo.CustomDialer. A connection is dialed once, within the attempt that needs it.
type dial struct {
	ctx    context.Context
	dialer *net.Dialer
	// conn is the last that was dialed.
	conn net.Conn
}

func (d *dial) Dial(network, address string) (conn net.Conn, err error) {
	d.conn, err = d.dialer.DialContext(d.ctx, network, address)
	return d.conn, err
}
