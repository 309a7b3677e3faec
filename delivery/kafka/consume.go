package kafka

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/57528e99/recount/delivery/inbox"
)

// most is how many records are appended at once.
const most = 500

// Consume hands the records of topics over to an inbox, those of a partition in order, until ctx ends or something fails: see inbox.Inbox.Run.
// The offsets that are committed are of records that the log has. The dialer makes connections.
func Consume(ctx context.Context, into *inbox.Inbox, dialer *net.Dialer) error {
	c := into.Config().Kafka
	client, err := kgo.NewClient(append(options(&c.KafkaConnection, dialer),
		kgo.ConsumerGroup(c.Group), kgo.ConsumeTopics(c.Topics...), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for {
		fetches := client.PollRecords(ctx, most)
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("fetch from partition %d of topic %s: %w", e.Partition, e.Topic, e.Err)
		}
		records := fetches.Records()
		messages := make([]inbox.Message, len(records))
		for n, r := range records {
			messages[n] = message(r)
		}
		if err := into.Append(ctx, messages, func() {}); err != nil {
			return err
		}
		if err := client.CommitRecords(ctx, records...); err != nil {
			return fmt.Errorf("commit offsets: %w", err)
		}
		client.AllowRebalance()
	}
}

func message(r *kgo.Record) inbox.Message {
	// With the time, as a topic that is made again begins with 0.
	made := inbox.Message{Place: fmt.Sprintf("%s/%d/%d@%d", r.Topic, r.Partition, r.Offset, r.Timestamp.UnixMilli()), Topic: r.Topic, Key: string(r.Key), Body: r.Value}
	for _, h := range r.Headers {
		switch name := strings.ToLower(h.Key); {
		case name == "content-type":
			made.ContentType = string(h.Value)
		case name == "recount-message-id":
			made.ID = string(h.Value)
		case strings.HasPrefix(name, "ce_"):
			if made.CloudEvent == nil {
				made.CloudEvent = make(map[string]string)
			}
			made.CloudEvent[name[len("ce_"):]] = string(h.Value)
		}
	}
	return made
}
