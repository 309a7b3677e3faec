package kafka

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/internal/brokers"
)

// Target produces the events of a subscription to a topic, each with its key, by which it gets its partition of the topic: the hash is that
// of Kafka's own clients. The producer is idempotent, and waits for all replicas that are in sync: what it sends again by itself is there
// once. An event is sent when the one before it of its key is written.
type Target struct {
	config   *delivery.KafkaTarget
	topic    brokers.Name
	encoding brokers.Encoding
	options  []kgo.Opt
	client   *kgo.Client
	// reached: a broker answered, and none has failed since.
	reached atomic.Bool
}

var _ delivery.Target = (*Target)(nil)

// maxTopic is how long the name of a topic may be.
const maxTopic = 249

// New returns the target of a subscription that goes to delivery.KafkaTarget; Close it. The dialer makes its connections. Nothing is
// connected to and no secret is read before something is delivered.
func New(d delivery.Definition, dialer *net.Dialer) (*Target, error) {
	d, err := d.Checked()
	if err != nil {
		return nil, err
	}
	c := d.Target.Kafka
	t := &Target{config: c, topic: brokers.NewName(c.Topic, maxTopic, brokers.Topic), encoding: brokers.Encoding{Format: c.Format, Prefix: "ce_"}}
	t.options = append(options(&c.KafkaConnection, dialer),
		kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(int32(c.MaxMessageBytes)), kgo.MaxBufferedRecords(maxBuffered),
		// The attempt says when it is over.
		kgo.AllowIdempotentProduceCancellation(), kgo.ProduceRequestTimeout(10*time.Second),
	)
	t.client, err = kgo.NewClient(t.options...)
	return t, err
}

// maxBuffered is how many records wait at most for a broker.
const maxBuffered = 100_000

// options are those of a client that connects as a definition says.
func options(c *delivery.KafkaConnection, dialer *net.Dialer) []kgo.Opt {
	made := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...), kgo.ClientID("recount"),
		kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			return dial(ctx, dialer, c.TLS, network, address)
		}),
	}
	if s := c.SASL; s != nil {
		switch s.Mechanism {
		case "plain":
			made = append(made, kgo.SASL(plain.Plain(func(context.Context) (plain.Auth, error) {
				password, err := s.Password.Read()
				return plain.Auth{User: s.User, Pass: password}, err
			})))
		default:
			auth := func(context.Context) (scram.Auth, error) {
				password, err := s.Password.Read()
				return scram.Auth{User: s.User, Pass: password}, err
			}
			if s.Mechanism == "scram-sha-256" {
				made = append(made, kgo.SASL(scram.Sha256(auth)))
			} else {
				made = append(made, kgo.SASL(scram.Sha512(auth)))
			}
		}
	}
	return made
}

// dial connects, with certificates as they are now.
func dial(ctx context.Context, dialer *net.Dialer, c *delivery.BrokerTLS, network, address string) (net.Conn, error) {
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil || c == nil {
		return conn, err
	}
	config, err := brokers.TLS(c)
	if err == nil {
		if config.ServerName == "" {
			config.ServerName, _, err = net.SplitHostPort(address)
		}
		encrypted := tls.Client(conn, config)
		if err == nil {
			err = encrypted.HandshakeContext(ctx)
		}
		if err == nil {
			return encrypted, nil
		}
	}
	conn.Close()
	return nil, err
}

// Close ends the connections. It is called after the last attempt.
func (t *Target) Close() { t.client.Close() }

// Deliver implements delivery.Target.
func (t *Target) Deliver(ctx context.Context, d *delivery.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	attempt, cancel := context.WithTimeout(ctx, time.Duration(t.config.Timeout))
	defer cancel()
	if err := t.reach(attempt); err != nil {
		return brokers.Down(ctx, err)
	}
	errs, refused := t.produce(ctx, attempt, t.client, d)
	switch {
	case refused == nil:
		return brokers.Result(errs)
	case len(d.Events) > 1:
		return refused // whose fault it is shows when there are fewer
	}
	// Records of other attempts may have been in its batch: a client of its own has no others.
	alone, err := kgo.NewClient(t.options...)
	if err != nil {
		return err
	}
	defer alone.Close()
	if errs, refused = t.produce(ctx, attempt, alone, d); refused != nil {
		return delivery.Permanent(refused)
	}
	return brokers.Result(errs)
}

// produce sends the events, and returns why they were not taken. If it refused a batch for what is in it, that is returned too, and no event
// has been sent since: the client fails all that it has for a partition with it.
func (t *Target) produce(ctx, attempt context.Context, client *kgo.Client, d *delivery.Delivery) (errs []error, refused error) {
	type result struct {
		index int
		err   error
	}
	of := t.encoding.Attempt(d)
	errs = brokers.InOrder(d.Events, func(indices []int, errs []error) {
		produced := make(chan result, len(indices)) // who comes late finds room
		waiting := make(map[int]bool, len(indices))
		for _, i := range indices {
			e := &d.Events[i]
			topic, err := t.topic.Of(e)
			if err = cmp.Or(refused, err); err != nil {
				errs[i] = err
				continue
			}
			r := t.record(of, topic, e)
			if n := size(r); n > t.config.MaxMessageBytes {
				errs[i] = delivery.Permanent(fmt.Errorf("the record has %d bytes, max_message_bytes is %d", n, t.config.MaxMessageBytes))
				continue
			}
			waiting[i] = true
			client.Produce(attempt, r, func(_ *kgo.Record, err error) { produced <- result{i, err} })
		}
		for len(waiting) > 0 {
			select {
			case r := <-produced:
				delete(waiting, r.index)
				errs[r.index] = t.judge(ctx, r.err)
				if isOfBatch(r.err) {
					refused = r.err
				}
			case <-attempt.Done():
				err := t.down(ctx, fmt.Errorf("no word of Kafka within %s that it is written: %w", time.Duration(t.config.Timeout), attempt.Err()))
				for i := range waiting {
					errs[i] = err
				}
				clear(waiting)
			}
		}
	})
	return errs, refused
}

// size returns how many bytes a record has at least.
func size(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// isOfBatch reports whether an error says that a batch has something that Kafka does not take.
func isOfBatch(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) || errors.Is(err, kerr.InvalidRecord) ||
		errors.Is(err, kerr.InvalidTimestamp) || errors.Is(err, kerr.PolicyViolation)
}

func (t *Target) record(of brokers.Attempt, topic string, e *delivery.Event) *kgo.Record {
	m := of.Message(e)
	r := &kgo.Record{Topic: topic, Key: []byte(e.Key), Value: m.Body, Headers: make([]kgo.RecordHeader, 0, len(m.Headers)+2)}
	if t.config.Format == delivery.FormatCloudEventsBinary {
		r.Value = bytes.Clone(m.Body) // the client may have it for longer than the attempt takes
	} else {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "recount-message-id", Value: []byte(e.MessageID.String())})
	}
	if m.ContentType != "" {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "content-type", Value: []byte(m.ContentType)})
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Name, Value: []byte(h.Value)})
	}
	return r
}

// judge says what an error of a record means.
func (t *Target) judge(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.InvalidTopicException):
		return delivery.Permanent(err)
	case isOfBatch(err), errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.TopicAuthorizationFailed):
		return err // of this batch or topic: others may be taken
	}
	return t.down(ctx, fmt.Errorf("produce to Kafka: %w", err))
}

// reach returns an error at once if no broker can be reached: the client itself would try until the time of the attempt is over.
func (t *Target) reach(ctx context.Context) error {
	if t.reached.Load() {
		return nil
	}
	if err := t.client.Ping(ctx); err != nil {
		return fmt.Errorf("reach Kafka: %w", err)
	}
	t.reached.Store(true)
	return nil
}

// down notes that brokers have to be reached anew, and returns what brokers.Down does.
func (t *Target) down(ctx context.Context, err error) error {
	t.reached.Store(false)
	return brokers.Down(ctx, err)
}
