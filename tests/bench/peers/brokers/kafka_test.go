package brokers

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/kafka"
)

func TestKafka(t *testing.T) {
	t.Parallel()
	b := startKafka(t)
	t.Run("suite", b.suite)
	t.Run("a killed broker", b.survivesItsBroker)
	t.Run("inbox", b.fillsAnInbox)
	t.Run("what fails for good", func(t *testing.T) { b.failsForGood(t) })
}

func startKafka(t testing.TB) *broker {
	port, dir := freePort(t), t.TempDir()
	var cluster *kfake.Cluster
	start := func() {
		var err error
		cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir), kfake.SyncWrites(), kfake.AllowAutoTopicCreation(),
			kfake.DefaultNumPartitions(4), kfake.Superuser("PLAIN", "admin", "secret"))
		if err != nil {
			t.Fatal(err)
		}
	}
	kill := func() { cluster.Close() }
	start()
	t.Cleanup(func() { kill() })
	address := fmt.Sprintf("127.0.0.1:%d", port)
	read := make(map[string]map[int32]int64)
	mu := make(chan struct{}, 1)
	b := &broker{prefix: "ce_", decode: plain, kill: kill, start: start}
	b.target = func(name string) delivery.TargetConfig {
		return delivery.TargetConfig{Kafka: &delivery.KafkaTarget{KafkaConnection: delivery.KafkaConnection{Brokers: []string{address}}, Topic: name}}
	}
	b.consume = kafka.Consume
	b.inbox = func(name string) delivery.Inbox {
		return delivery.Inbox{Kafka: &delivery.KafkaInbox{KafkaConnection: delivery.KafkaConnection{Brokers: []string{address}}, Topics: []string{name}}}
	}
	b.make = func(d delivery.Definition) (delivery.Target, error) {
		if cluster.TopicInfo(d.Target.Kafka.Topic) == nil {
			if err := cluster.CreateTopic(d.Target.Kafka.Topic, 4, nil); err != nil {
				return nil, err
			}
		}
		return kafka.New(d, dialer)
	}
	b.read = func(t testing.TB, name string) (list []message) {
		mu <- struct{}{}
		defer func() { <-mu }()
		if read[name] == nil {
			read[name] = make(map[int32]int64)
		}
		from := make(map[int32]kgo.Offset)
		var missing int64
		for _, p := range cluster.PartitionInfos(name) {
			if at := read[name][p.Partition]; at < p.HighWatermark {
				from[p.Partition] = kgo.NewOffset().At(at)
				missing += p.HighWatermark - at
			}
		}
		if missing == 0 {
			return nil
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: from}), kgo.FetchMaxWait(10*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for missing > 0 && t.Context().Err() == nil {
			client.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) {
				missing--
				read[name][r.Partition] = r.Offset + 1
				headers := make(map[string]string)
				for _, h := range r.Headers {
					headers[h.Key] = string(h.Value)
				}
				list = append(list, message{headers, r.Value})
			})
		}
		return list
	}
	return b
}
