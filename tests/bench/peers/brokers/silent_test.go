package brokers

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/kafka"
	"github.com/57528e99/recount/delivery/nats"
	"github.com/57528e99/recount/delivery/rabbitmq"
	"github.com/57528e99/recount/eventstore"
)

// TestWhoDeliversDoesNotHangOnASilentBroker: one that connects and says nothing. It is the broker's fault, and nobody's who has ended.
func TestWhoDeliversDoesNotHangOnASilentBroker(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	address := l.Addr().String()
	d := oneEvent()
	for name, config := range map[string]delivery.TargetConfig{
		"nats":     {NATS: &delivery.NATSTarget{NATSConnection: delivery.NATSConnection{Servers: []string{"nats://" + address}}, Subject: "a"}},
		"kafka":    {Kafka: &delivery.KafkaTarget{KafkaConnection: delivery.KafkaConnection{Brokers: []string{address}}, Topic: "a"}},
		"rabbitmq": {RabbitMQ: &delivery.RabbitMQTarget{RabbitMQConnection: delivery.RabbitMQConnection{URL: "amqp://" + address}, RoutingKey: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, timeout := range []time.Duration{200 * time.Millisecond, time.Minute} {
				config.Broker().Timeout = delivery.Duration(timeout)
				target, err := open(delivery.Definition{Name: "s", Target: config})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				if timeout > time.Second {
					time.AfterFunc(100*time.Millisecond, cancel)
				}
				returned := make(chan error, 1)
				go func() { returned <- target.Deliver(ctx, d) }()
				select {
				case err := <-returned:
					outcome, _ := delivery.OutcomeOf(err)
					if ctx.Err() != nil && !errors.Is(err, context.Canceled) || ctx.Err() == nil && outcome != delivery.ThrottledOutcome {
						t.Errorf("Deliver within %s to a broker that says nothing: %s, %v", timeout, outcome, err)
					}
				case <-time.After(patience):
					t.Errorf("Deliver within %s to a broker that says nothing does not return", timeout)
				}
				cancel()
				target.(interface{ Close() }).Close()
			}
		})
	}
}

// TestNATSThatReadsNothing: a server that reads nothing once the connection is open holds up neither Deliver nor Close.
func TestNATSThatReadsNothing(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, `INFO {"server_id":"x","version":"2.10.0","proto":1,"headers":true,"max_payload":8388608}`+"\r\n")
		for read := bufio.NewScanner(conn); read.Scan() && read.Text() != "PING"; {
		}
		_, _ = io.WriteString(conn, "PONG\r\n")
		<-done
	}()
	config := delivery.NATSTarget{NATSConnection: delivery.NATSConnection{Servers: []string{"nats://" + l.Addr().String()}}, Subject: "a"}
	config.Timeout = delivery.Duration(300 * time.Millisecond)
	target, err := open(delivery.Definition{Name: "s", Target: delivery.TargetConfig{NATS: &config}})
	if err != nil {
		t.Fatal(err)
	}
	d := oneEvent()
	d.Events[0].Data = make([]byte, 8<<20-1024)
	for n := range 4 {
		e := d.Events[0]
		e.Key = string(rune('a' + n))
		d.Events = append(d.Events, e)
	}
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		err := target.Deliver(t.Context(), d)
		var partial *delivery.PartialError
		if !errors.As(err, &partial) || len(partial.Failed) != len(d.Events) {
			t.Errorf("Deliver to a server that reads nothing: %v, want a PartialError of all", err)
			return
		}
		for _, err := range partial.Failed {
			if outcome, _ := delivery.OutcomeOf(err); outcome != delivery.ThrottledOutcome {
				t.Errorf("an event for a server that reads nothing: %s, %v, want throttled", outcome, err)
			}
		}
		target.(interface{ Close() }).Close()
	}()
	select {
	case <-returned:
	case <-time.After(patience / 2):
		t.Error("Deliver or Close does not return")
	}
}

func open(d delivery.Definition) (delivery.Target, error) {
	switch {
	case d.Target.NATS != nil:
		return nats.New(d, dialer)
	case d.Target.Kafka != nil:
		return kafka.New(d, dialer)
	}
	return rabbitmq.New(d, dialer)
}

func oneEvent() *delivery.Delivery {
	e := &eventstore.RecordedEvent{Stream: "order-1", Position: 1, RecordedAt: time.Now()}
	e.ID, e.Type, e.Data, e.ContentType = uuid.New(), "Happened", []byte("1"), "application/json"
	return &delivery.Delivery{Subscription: "s", Epoch: 1, Events: []delivery.Event{{RecordedEvent: e, MessageID: uuid.New(), Key: e.Stream, Attempt: 1}}}
}
