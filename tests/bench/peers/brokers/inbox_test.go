package brokers

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/inbox"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

// fillsAnInbox: what a target has sent is in the log that an inbox writes to once, in order of its keys, although the broker is killed in the
// middle and all is sent twice.
func (b *broker) fillsAnInbox(t *testing.T) {
	const name, streams, each = "inbox", 10, 20
	target := b.open(t, name, func(d *delivery.Definition) { d.Target.Broker().Timeout = delivery.Duration(5 * time.Second) })
	log := memstore.New(memstore.Config{})
	config := b.inbox(name)
	config.Name, config.Stream = "copies", "copy-{subject}"
	into, err := inbox.New(config, log, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		into.Run(ctx, func(ctx context.Context) error { return b.consume(ctx, into, dialer) })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	id := uuid.New()
	send := func(from, to int, replay string) {
		d := &delivery.Delivery{Subscription: name, Epoch: 1, Replay: replay}
		for version := from; version < to; version++ {
			for s := range streams {
				e := &eventstore.RecordedEvent{Stream: fmt.Sprintf("order-%d", s), Version: int64(version), Position: int64(version*streams + s + 1), RecordedAt: time.Now()}
				e.ID, e.Type, e.Data, e.ContentType = uuid.NewSHA1(id, fmt.Append(nil, version)), "Happened", fmt.Append(nil, version), "application/json"
				d.Events = append(d.Events, delivery.Event{RecordedEvent: e, MessageID: delivery.MessageID(id, e), Key: e.Stream, Attempt: 1})
			}
		}
		eventually(t, func() error {
			err := target.Deliver(t.Context(), d)
			if partial := (*delivery.PartialError)(nil); errors.As(err, &partial) {
				for _, one := range partial.Failed {
					return fmt.Errorf("%w, one as %w", err, one)
				}
			}
			return err
		})
	}
	came := func(want int) func() error {
		return func() error {
			versions := make(map[string]int)
			n := 0
			for e, err := range log.ReadAll(t.Context(), eventstore.ReadOptions{}) {
				if err != nil {
					return err
				}
				if string(e.Data) != fmt.Sprint(versions[e.Stream]) || e.Type != "Happened" {
					t.Fatalf("%s %s comes to stream %s as its event %d", e.Type, e.Data, e.Stream, versions[e.Stream])
				}
				versions[e.Stream]++
				n++
			}
			if n != want {
				return fmt.Errorf("the log has %d events, want %d", n, want)
			}
			return nil
		}
	}
	send(0, each, "")
	eventually(t, came(streams*each))
	b.kill()
	b.start()
	send(each, 2*each, "")
	send(0, 2*each, "again")
	send(2*each, 2*each+1, "") // what is behind all that came twice
	eventually(t, came(streams*(2*each+1)))
}
