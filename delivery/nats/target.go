package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/internal/brokers"
)

// Target publishes the events of a subscription to a stream of JetStream. The message id, with that of a replay behind a '/', is the
// Nats-Msg-Id: within the stream's window for duplicates an event is there once. An event is sent when the one before it of its key is
// stored.
type Target struct {
	config   *delivery.NATSTarget
	subject  brokers.Name
	encoding brokers.Encoding
	dialer   *net.Dialer

	// connecting holds up those who need a connection while one of them makes it.
	connecting sync.Mutex
	conn       *connection
}

var _ delivery.Target = (*Target)(nil)

// maxSubject is how long a subject may be, which shares a line of 4 KiB with others.
const maxSubject = 2048

// New returns the target of a subscription that goes to delivery.NATSTarget; Close it. The dialer makes its connections. Nothing is
// connected to and no secret is read before something is delivered.
func New(d delivery.Definition, dialer *net.Dialer) (*Target, error) {
	d, err := d.Checked()
	if err != nil {
		return nil, err
	}
	c := d.Target.NATS
	return &Target{
		config: c, dialer: dialer, subject: brokers.NewName(c.Subject, maxSubject, brokers.Token),
		encoding: brokers.Encoding{Format: c.Format, Prefix: "ce-", Percent: true},
	}, nil
}

// Close closes the connection. It is called after the last attempt.
func (t *Target) Close() {
	t.connecting.Lock()
	defer t.connecting.Unlock()
	if t.conn != nil {
		t.conn.abort()
		<-t.conn.lost
	}
}

// Deliver implements delivery.Target.
func (t *Target) Deliver(ctx context.Context, d *delivery.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	attempt, cancel := context.WithTimeout(ctx, time.Duration(t.config.Timeout))
	defer cancel()
	conn, err := t.connected(attempt)
	if err != nil {
		return brokers.Down(ctx, err)
	}
	of := t.encoding.Attempt(d)
	var down error
	return brokers.Result(brokers.InOrder(d.Events, func(indices []int, errs []error) {
		futures := make([]jetstream.PubAckFuture, len(indices))
		// A server that reads nothing holds up who writes, who would not look at the context then.
		written := context.AfterFunc(attempt, conn.abort)
		for n, i := range indices {
			if errs[i] = down; down == nil {
				if futures[n], errs[i] = t.publish(conn, of, d, &d.Events[i]); errs[i] != nil && attempt.Err() != nil {
					down = brokers.Down(ctx, errs[i])
					errs[i] = down
				}
			}
		}
		written()
		for n, i := range indices {
			if futures[n] == nil {
				continue
			}
			select {
			case <-futures[n].Ok():
			case err := <-futures[n].Err():
				errs[i] = judge(err)
			case <-conn.lost:
				down = brokers.Down(ctx, fmt.Errorf("the connection to NATS is lost: %w", errors.Join(conn.LastError(), natsgo.ErrConnectionClosed)))
				errs[i] = down
			case <-attempt.Done():
				down = brokers.Down(ctx, fmt.Errorf("NATS did not say within %s that it has stored it: %w", time.Duration(t.config.Timeout), attempt.Err()))
				errs[i] = down
				if ctx.Err() == nil {
					conn.abort() // what does not answer in time gets no more
				}
			}
		}
	}))
}

func (t *Target) publish(conn *connection, of brokers.Attempt, d *delivery.Delivery, e *delivery.Event) (jetstream.PubAckFuture, error) {
	subject, err := t.subject.Of(e)
	if err != nil {
		return nil, err
	}
	m := of.Message(e)
	header := make(natsgo.Header, len(m.Headers)+3)
	values := make([]string, 0, len(m.Headers)+3)
	set := func(name, value string) {
		values = append(values, value)
		header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	id := e.MessageID.String()
	if d.Replay != "" {
		id += "/" + d.Replay
	}
	set(jetstream.MsgIDHeader, id)
	if t.config.Stream != "" {
		set(jetstream.ExpectedStreamHeader, t.config.Stream)
	}
	if m.ContentType != "" {
		set("content-type", m.ContentType)
	}
	for _, h := range m.Headers {
		set(h.Name, h.Value)
	}
	future, err := conn.js.PublishMsgAsync(&natsgo.Msg{Subject: subject, Header: header, Data: m.Body}, neverAgain)
	if err != nil {
		return nil, judge(err)
	}
	return future, nil
}

// neverAgain: who tries again is who calls Deliver.
var neverAgain = jetstream.WithRetryAttempts(0)

// accountFull is the code of the error of JetStream that an account has no room left, which it may have again.
const accountFull = 10002

// judge says what an error of a message means.
func judge(err error) error {
	var api *jetstream.APIError
	var network net.Error
	switch {
	case errors.Is(err, natsgo.ErrMaxPayload), errors.Is(err, natsgo.ErrBadSubject), errors.Is(err, natsgo.ErrBadHeaderMsg):
		return delivery.Permanent(err)
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("no stream takes the subject, or JetStream is not there: %w", err)
	case errors.Is(err, natsgo.ErrConnectionClosed), errors.Is(err, natsgo.ErrDisconnected), errors.As(err, &network):
		return delivery.Throttled(err, 0)
	case errors.As(err, &api) && (api.Code >= 500 || api.ErrorCode == accountFull):
		return delivery.Throttled(err, 0) // it is full, or without a leader, for now
	case errors.As(err, &api):
		return delivery.Permanent(err)
	}
	return err
}
