package brokers

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/57528e99/recount/delivery"
)

// TestKafkaRefusesABatch: what is in one batch with a record that Kafka does not take is not to blame, whatever attempt it is of, and nothing
// of its key is written before it.
func TestKafkaRefusesABatch(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	if err := cluster.CreateTopic("a", 1, map[string]string{"max.message.bytes": "2000"}); err != nil {
		t.Fatal(err)
	}
	target, err := open(delivery.Definition{Name: "s", Target: delivery.TargetConfig{Kafka: &delivery.KafkaTarget{
		KafkaConnection: delivery.KafkaConnection{Brokers: cluster.ListenAddrs()}, Topic: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.(interface{ Close() }).Close)
	one := func(key string, size int) delivery.Event {
		e := oneEvent().Events[0]
		e.Stream, e.Key, e.MessageID, e.Data = key, key, uuid.New(), make([]byte, size)
		_, _ = rand.Read(e.Data)
		return e
	}
	outcome := func(events ...delivery.Event) delivery.Outcome {
		o, _ := delivery.OutcomeOf(target.Deliver(t.Context(), &delivery.Delivery{Subscription: "s", Epoch: 1, Events: events}))
		return o
	}
	bad, good := one("order-1", 4000), one("order-2", 1)
	err = target.Deliver(t.Context(), &delivery.Delivery{Subscription: "s", Epoch: 1, Events: []delivery.Event{bad, good, one("order-1", 1)}})
	if got, _ := delivery.OutcomeOf(err); got != delivery.Transient || errors.As(err, new(*delivery.PartialError)) {
		t.Errorf("a batch that Kafka refuses: %s, %v, want transient as a whole", got, err)
	}
	var waiting sync.WaitGroup
	for n := range 50 {
		waiting.Go(func() {
			if n%10 == 0 {
				if got := outcome(bad); got != delivery.PermanentFailure {
					t.Errorf("the event that Kafka refuses: %s, want permanent", got)
				}
			} else if got := outcome(one(fmt.Sprint("order-", n), 1)); got != delivery.Done {
				t.Errorf("an event beside it: %s, want done", got)
			}
		})
	}
	waiting.Wait()
	// Too large for the client, before one of its key.
	err = target.Deliver(t.Context(), &delivery.Delivery{Subscription: "s", Epoch: 1, Events: []delivery.Event{good, one("order-3", 2<<20), one("order-3", 1)}})
	var partial *delivery.PartialError
	if !errors.As(err, &partial) || len(partial.Failed) != 2 {
		t.Fatalf("Deliver with an event that is too large before one of its key: %v, want a PartialError of both", err)
	}
	if got, _ := delivery.OutcomeOf(partial.Failed[2]); got != delivery.Transient {
		t.Errorf("the event behind one that is too large: %s, want that it was not tried", got)
	}
}
