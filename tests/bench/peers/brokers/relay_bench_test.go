package brokers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
)

// relayed is how many events of 1,000 streams, with relayedBytes each, are relayed, and sent by the broker's own client.
const relayed, relayedBytes = 100_000, 200

// BenchmarkRelay measures how fast a log is relayed to a broker, and beside it how fast the client of the broker sends as many such messages
// with acknowledgements: go -C tests/bench/peers test ./brokers -run - -bench Relay -benchtime 1x.
func BenchmarkRelay(b *testing.B) {
	for name, start := range map[string]func(testing.TB) *broker{"nats": startNATS, "kafka": startKafka, "rabbitmq": startRabbitMQ} {
		b.Run(name, func(b *testing.B) {
			broker := start(b)
			log := filledLog(b)
			for n := range b.N {
				place := fmt.Sprintf("relay%d", n)
				took := broker.relay(b, log, place)
				bare := broker.bare(b, place+"bare")
				b.ReportMetric(relayed/took.Seconds(), "events/s")
				b.ReportMetric(relayed/bare.Seconds(), "bare/s")
			}
		})
	}
}

type filled struct {
	*pgtest.DB
	store *pgstore.Store
}

// filledLog returns a log with events.
func filledLog(b *testing.B) *filled {
	db := pgtest.New(b)
	store, err := pgstore.Open(b.Context(), pgstore.Config{Pool: db.NewPool(b, func(c *pgxpool.Config) { pgstore.ConfigurePool(c) }), Schema: db.Schema})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close(context.WithoutCancel(b.Context())) })
	data := []byte(`{"text":"` + strings.Repeat("x", relayedBytes-11) + `"}`)
	for range relayed / 1000 {
		var all []eventstore.StreamAppend
		for n := range 1000 {
			e := eventstore.Event{ID: uuid.New(), Type: "Happened", SchemaVersion: 1, ContentType: "application/json", Data: data}
			all = append(all, eventstore.StreamAppend{Stream: fmt.Sprintf("order-%d", n), Expected: eventstore.Any, Events: []eventstore.Event{e}})
		}
		for some := range slices.Chunk(all, 100) {
			if _, err := store.AppendStreams(b.Context(), some, eventstore.AppendOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	}
	return &filled{db, store}
}

// relay returns how long it takes until the broker has acknowledged all events of a log.
func (k *broker) relay(b *testing.B, log *filled, place string) time.Duration {
	codec, err := eventstore.NewCodec()
	if err != nil {
		b.Fatal(err)
	}
	d := delivery.Definition{Name: place, Target: k.target(place), Start: delivery.Start{At: delivery.AtBeginning}}
	target, err := k.make(d)
	if err != nil {
		b.Fatal(err)
	}
	var delivered atomic.Int64
	all := make(chan struct{})
	runner, err := delivery.NewRunner(delivery.Config{
		Pool: log.NewPool(b, func(c *pgxpool.Config) { c.MaxConns = 8 }), Schema: log.Schema, App: "bench", Store: log.store, Codec: codec,
		Subscriptions: []delivery.Subscription{{Definition: d}},
		Targets:       map[string]delivery.TargetFactory{kindOf(d): func(delivery.Definition) (delivery.Target, error) { return target, nil }},
		Observe: func(o delivery.Observation) {
			if delivered.Add(int64(o.Delivered)) >= relayed && o.Delivered > 0 {
				select {
				case <-all:
				default:
					close(all)
				}
			}
		},
	})
	began := time.Now()
	if err == nil {
		err = runner.Start(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = runner.Stop(ctx)
	}()
	select {
	case <-all:
	case <-time.After(5 * time.Minute):
		b.Fatalf("%d of %d events are relayed", delivered.Load(), relayed)
	}
	return time.Since(began)
}

// bare returns how long the broker's own client takes.
func (k *broker) bare(b *testing.B, place string) time.Duration {
	body := []byte(strings.Repeat("x", relayedBytes))
	config := k.target(place)
	target, err := k.make(delivery.Definition{Name: "bare", Target: config})
	if err != nil {
		b.Fatal(err)
	}
	target.(interface{ Close() }).Close()
	began := time.Now()
	switch {
	case config.NATS != nil:
		conn, err := natsgo.Connect(config.NATS.Servers[0])
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(4000))
		if err != nil {
			b.Fatal(err)
		}
		for n := range relayed {
			if _, err := js.PublishAsync(place+".a", body, jetstream.WithMsgID(fmt.Sprint(n)), jetstream.WithStallWait(time.Minute)); err != nil {
				b.Fatal(err)
			}
		}
		<-js.PublishAsyncComplete()
	case config.Kafka != nil:
		client, err := kgo.NewClient(kgo.SeedBrokers(config.Kafka.Brokers...))
		if err != nil {
			b.Fatal(err)
		}
		defer client.Close()
		for n := range relayed {
			client.Produce(b.Context(), &kgo.Record{Topic: place, Key: fmt.Append(nil, n%1000), Value: body}, nil)
		}
		if err := client.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	default:
		conn, err := amqp.Dial(config.RabbitMQ.URL)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		done := make(chan error, 4)
		for range 4 {
			go func() { done <- publishBare(conn, place, body, relayed/4) }()
		}
		for range 4 {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
	}
	return time.Since(began)
}

func publishBare(conn *amqp.Connection, queue string, body []byte, n int) error {
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		return err
	}
	confirms := make([]*amqp.DeferredConfirmation, 0, n)
	for range n {
		c, err := ch.PublishWithDeferredConfirm("", queue, true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body})
		if err != nil {
			return err
		}
		confirms = append(confirms, c)
	}
	for _, c := range confirms {
		<-c.Done()
	}
	return nil
}
