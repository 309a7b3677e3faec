package brokers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// survivesItsBroker: nothing is lost, parked or out of order if the broker is killed in the middle.
func (b *broker) survivesItsBroker(t *testing.T) {
	const streams, rounds, name = 20, 30, "killed"
	db := logtest.New(t)
	pool := db.NewPool(t, func(c *pgxpool.Config) { c.MaxConns = 8 })
	store, err := pgstore.Open(t.Context(), pgstore.Config{Pool: db.NewPool(t, func(c *pgxpool.Config) { pgstore.ConfigurePool(c) }), Schema: db.Schema})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close(context.WithoutCancel(t.Context())) })
	codec, err := eventstore.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	d := delivery.Definition{Name: name, Target: b.target(name), Start: delivery.Start{At: delivery.AtBeginning}}
	d.Batch.MaxEvents = 50
	d.Target.Broker().Timeout = delivery.Duration(2 * time.Second)
	first, err := b.make(d) // which makes the place
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.(interface{ Close() }).Close)
	runner, err := delivery.NewRunner(delivery.Config{
		Pool: pool, Schema: db.Schema, App: "test", Store: store, Codec: codec, Logger: zerolog.New(zerolog.NewTestWriter(t)),
		Subscriptions: []delivery.Subscription{{Definition: d}},
		Targets:       map[string]delivery.TargetFactory{kindOf(d): func(delivery.Definition) (delivery.Target, error) { return first, nil }},
	})
	if err == nil {
		err = runner.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = runner.Stop(ctx)
	})
	versions := make(map[string]int) // by stream: what has come in order
	read := func() (n int) {
		for _, m := range b.read(t, name) {
			stream, version := b.decode(m.headers[b.prefix+"subject"]), 0
			if _, err := fmt.Sscan(m.headers[b.prefix+"streamversion"], &version); err != nil {
				t.Fatal(err)
			}
			if version > versions[stream] {
				t.Fatalf("event %d of stream %s comes when %d have come", version, stream, versions[stream])
			}
			versions[stream] = max(versions[stream], version+1)
		}
		for _, v := range versions {
			n += v
		}
		return n
	}
	write := func() {
		var all []eventstore.StreamAppend
		for s := range streams {
			a := eventstore.StreamAppend{Stream: fmt.Sprintf("order-%d", s), Expected: eventstore.Any}
			for range rounds {
				a.Events = append(a.Events, eventstore.Event{ID: uuid.New(), Type: "Happened", SchemaVersion: 1, ContentType: "application/json", Data: []byte(`{"n":1}`)})
			}
			all = append(all, a)
		}
		for _, a := range all {
			if _, err := store.Append(t.Context(), a, eventstore.AppendOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	write()
	eventually(t, func() error {
		if n := read(); n == 0 {
			return errors.New("nothing comes")
		}
		return nil
	})
	b.kill()
	write()
	// It has been seen that the broker is down.
	eventually(t, func() error {
		if runner.Stats().Failed == 0 {
			return errors.New("no attempt has failed although the broker is down")
		}
		return nil
	})
	b.start()
	write()
	eventually(t, func() error {
		if n := read(); n != 3*streams*rounds {
			return fmt.Errorf("%d of %d events have come", n, 3*streams*rounds)
		}
		return nil
	})
	var parked int
	if err := db.Pool.QueryRow(t.Context(), strings.ReplaceAll(`SELECT count(*) FROM {schema}.subscription_parked`, "{schema}", db.Schema)).Scan(&parked); err != nil {
		t.Fatal(err)
	}
	if parked != 0 {
		t.Errorf("%d events are parked although the broker was only down", parked)
	}
}

func kindOf(d delivery.Definition) string {
	switch {
	case d.Target.Kafka != nil:
		return delivery.KindKafka
	case d.Target.RabbitMQ != nil:
		return delivery.KindRabbitMQ
	}
	return delivery.KindNATS
}

// failsForGood: what is too large for the broker is permanent, and what is beside it is delivered.
func (b *broker) failsForGood(t *testing.T) {
	const name = "large"
	target := b.open(t, name, func(*delivery.Definition) {})
	log := uuid.New()
	d := &delivery.Delivery{Subscription: name, Epoch: 1}
	for i, data := range []string{`1`, strings.Repeat("2", 2<<20), `3`} {
		e := &eventstore.RecordedEvent{Stream: fmt.Sprintf("order-%d", i), Position: int64(i + 1), RecordedAt: time.Now()}
		e.ID, e.Type, e.Data, e.ContentType = uuid.New(), "Happened", []byte(data), "text/plain"
		d.Events = append(d.Events, delivery.Event{RecordedEvent: e, MessageID: delivery.MessageID(log, e), Key: e.Stream, Attempt: 1})
	}
	err := target.Deliver(t.Context(), d)
	var partial *delivery.PartialError
	if !errors.As(err, &partial) || len(partial.Failed) != 1 {
		t.Fatalf("Deliver with an event that is too large: %v, want a PartialError of one", err)
	}
	if outcome, _ := delivery.OutcomeOf(partial.Failed[1]); outcome != delivery.PermanentFailure {
		t.Errorf("an event that is too large: %s, want permanent: %v", outcome, err)
	}
	if came := len(b.read(t, name)); came != 2 {
		t.Errorf("%d events came beside the one that is too large, want 2", came)
	}
}
