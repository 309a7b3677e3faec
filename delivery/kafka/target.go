package kafka

import (
	"bytes"
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
// once, and what is behind an event that failed fails too.
type Target struct {
	config   *delivery.KafkaTarget
	topic    brokers.Name
	encoding brokers.Encoding
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
	produce := append(options(&c.KafkaConnection, dialer),
		kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(int32(c.MaxMessageBytes)), kgo.MaxBufferedRecords(maxBuffered),
		// The attempt says when it is over.
		kgo.AllowIdempotentProduceCancellation(), kgo.ProduceRequestTimeout(10*time.Second),
	)
	t.client, err = kgo.NewClient(produce...)
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
	of := t.encoding.Attempt(d)
	type result struct {
		index int
		err   error
	}
	errs := make([]error, len(d.Events))
	produced := make(chan result, len(d.Events)) // who comes late finds room
	waiting := make(map[int]bool, len(d.Events))
	failed := make(map[string]bool)
	for i := range d.Events {
		e := &d.Events[i]
		topic, err := t.topic.Of(e)
		if failed[e.Key] {
			err = brokers.ErrBehind
		}
		if err != nil {
			errs[i], failed[e.Key] = err, true
			continue
		}
		waiting[i] = true
		t.client.TryProduce(attempt, t.record(of, topic, e), func(_ *kgo.Record, err error) { produced <- result{i, err} })
	}
	for len(waiting) > 0 {
		select {
		case r := <-produced:
			delete(waiting, r.index)
			errs[r.index] = t.judge(ctx, r.err)
		case <-attempt.Done():
			err := t.down(ctx, fmt.Errorf("no word of Kafka within %s that it is written: %w", time.Duration(t.config.Timeout), attempt.Err()))
			for i := range waiting {
				errs[i] = err
			}
			clear(waiting)
		}
	}
	if len(errs) > 1 {
		for i, err := range errs {
			if errors.Is(err, kerr.MessageTooLarge) && d.Events[i].Size() < t.config.MaxMessageBytes/2 {
				// It is a batch of the client's that the broker does not take. Whose fault it is shows when there are fewer.
				return err
			}
		}
	}
	return brokers.Result(errs)
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
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge), errors.Is(err, kerr.InvalidTopicException),
		errors.Is(err, kerr.InvalidRecord), errors.Is(err, kerr.PolicyViolation), errors.Is(err, kerr.InvalidTimestamp):
		return delivery.Permanent(err)
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.TopicAuthorizationFailed):
		return err // of this topic: others may be there
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
