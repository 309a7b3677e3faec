package brokers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/inbox"
	"github.com/57528e99/recount/delivery/nats"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

func TestNATS(t *testing.T) {
	t.Parallel()
	b := startNATS(t)
	t.Run("suite", b.suite)
	t.Run("a killed broker", b.survivesItsBroker)
	t.Run("inbox", b.fillsAnInbox)
	t.Run("inbox after another", func(t *testing.T) { consumesInOrder(t, b) })
	t.Run("what fails for good", func(t *testing.T) { b.failsForGood(t) })
}

func startNATS(t testing.TB) *broker {
	options := &server.Options{Host: "127.0.0.1", Port: freePort(t), JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true}
	var s *server.Server
	start := func() {
		var err error
		if s, err = server.NewServer(options); err != nil {
			t.Fatal(err)
		}
		s.Start()
		if !s.ReadyForConnections(patience) {
			t.Fatal("the NATS server does not start")
		}
	}
	kill := func() {
		s.Shutdown()
		s.WaitForShutdown()
	}
	start()
	t.Cleanup(func() { kill() })
	url := fmt.Sprintf("nats://127.0.0.1:%d", options.Port)
	read := make(map[string]uint64)
	b := &broker{prefix: "ce-", decode: unescaped, remembers: true, kill: kill, start: start}
	mu := make(chan struct{}, 1)
	b.target = func(name string) delivery.TargetConfig {
		return delivery.TargetConfig{NATS: &delivery.NATSTarget{NATSConnection: delivery.NATSConnection{Servers: []string{url}}, Subject: name + ".{category}.{id}.{type}", Stream: name}}
	}
	b.consume = nats.Consume
	b.inbox = func(name string) delivery.Inbox {
		return delivery.Inbox{NATS: &delivery.NATSInbox{NATSConnection: delivery.NATSConnection{Servers: []string{url}}, Stream: name}}
	}
	b.make = func(d delivery.Definition) (delivery.Target, error) {
		js, closed := connectNATS(t, url)
		defer closed()
		name := d.Target.NATS.Stream
		_, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}})
		if err != nil {
			return nil, err
		}
		return nats.New(d, dialer)
	}
	b.read = func(t testing.TB, name string) (list []message) {
		js, closed := connectNATS(t, url)
		defer closed()
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		mu <- struct{}{}
		defer func() { <-mu }()
		for last := stream.CachedInfo().State.LastSeq; read[name] < last; {
			read[name]++
			m, err := stream.GetMsg(t.Context(), read[name])
			if err != nil {
				t.Fatal(err)
			}
			headers := make(map[string]string)
			for _, name := range slices.Collect(maps.Keys(m.Header)) {
				headers[name] = m.Header.Get(name)
			}
			list = append(list, message{headers, m.Data})
		}
		return list
	}
	return b
}

func connectNATS(t testing.TB, url string) (jetstream.JetStream, func()) {
	t.Helper()
	conn, err := natsgo.Connect(url, natsgo.Timeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js, conn.Close
}

// consumesInOrder: what who consumed before has got, and did not acknowledge, comes before what is behind it.
func consumesInOrder(t *testing.T, b *broker) {
	const name, most = "taken", 20
	b.open(t, name, func(*delivery.Definition) {}) // which makes the stream
	config := b.inbox(name)
	config.Name, config.Stream, config.Type = "taken", "copy-1", "Happened"
	js, closed := connectNATS(t, config.NATS.Servers[0])
	for n := range most {
		if _, err := js.Publish(t.Context(), name+".a", fmt.Append(nil, n)); err != nil {
			t.Fatal(err)
		}
	}
	consumer, err := js.CreateConsumer(t.Context(), name, jetstream.ConsumerConfig{Durable: "taken", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(most / 2)
	if err != nil {
		t.Fatal(err)
	}
	for range batch.Messages() {
	}
	closed()
	log := memstore.New(memstore.Config{})
	into, err := inbox.New(config, log, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = b.consume(ctx, into, dialer)
	}()
	defer func() { cancel(); <-ended }()
	eventually(t, func() error {
		n := 0
		for e, err := range log.ReadAll(t.Context(), eventstore.ReadOptions{}) {
			if err != nil {
				return err
			}
			if string(e.Data) != fmt.Sprint(n) {
				t.Fatalf("message %s comes as event %d of its stream", e.Data, n)
			}
			n++
		}
		if n != most {
			return fmt.Errorf("%d of %d messages have come", n, most)
		}
		return nil
	})
}
