package delivery

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// Inbox says how messages of a broker become events of the log: see package inbox.
type Inbox struct {
	// Name is the name of the inbox, as that of a subscription. It is in the ids of events: under another name messages are appended
	// again. Required.
	Name string `json:"name"`
	// Stream is the stream that a message is appended to, in which {subject}, {key}, {type}, {id} and {topic} stand for what the message
	// has: subject, type and id of a CloudEvent, the key of a record, and topic, subject or routing key. Required.
	Stream string `json:"stream"`
	// Type is the type of events, with the same placeholders. Default: {type}, which CloudEvents have.
	Type string `json:"type"`
	// One of these is set.
	NATS     *NATSInbox     `json:"nats,omitzero"`
	Kafka    *KafkaInbox    `json:"kafka,omitzero"`
	RabbitMQ *RabbitMQInbox `json:"rabbitmq,omitzero"`
}

// NATSInbox consumes a stream of JetStream.
type NATSInbox struct {
	NATSConnection
	// Stream is its name. Required.
	Stream string `json:"stream"`
	// Subject picks messages, with wildcards. Default: all.
	Subject string `json:"subject,omitempty"`
	// Consumer is the durable consumer, which is made if it is not there. Default: the name of the inbox with '-' for '.'.
	Consumer string `json:"consumer"`
}

// KafkaInbox consumes topics.
type KafkaInbox struct {
	KafkaConnection
	// Topics are at least one.
	Topics []string `json:"topics"`
	// Group is the consumer group. Default: the name of the inbox.
	Group string `json:"group"`
}

// RabbitMQInbox consumes a queue.
type RabbitMQInbox struct {
	RabbitMQConnection
	// Queue is its name. Required.
	Queue string `json:"queue"`
}

// InboxPlaceholders are those of Inbox.Stream and Inbox.Type.
var InboxPlaceholders = []string{"{subject}", "{key}", "{type}", "{id}", "{topic}"}

// ParseInbox reads an inbox from JSON and fills in what it leaves out. A member that is not known is an error. The error is an
// *InvalidError.
func ParseInbox(text []byte) (Inbox, error) {
	var i Inbox
	if err := json.Unmarshal(text, &i, json.RejectUnknownMembers(true)); err != nil {
		return i, &InvalidError{"", []*FieldError{fieldError(err)}}
	}
	return i.Checked()
}

// Checked returns the inbox with what it leaves out filled in. The error is an *InvalidError with all mistakes.
func (i Inbox) Checked() (Inbox, error) {
	c := &checker{}
	if len(i.Name) > maxName || !nameSyntax.MatchString(i.Name) {
		c.wrong("/name", "must be at most %d lower-case letters, digits, '.', '_' and '-', the first a letter", maxName)
	}
	if i.Type == "" {
		i.Type = "{type}"
	}
	c.required("/stream", i.Stream, "the name of the stream to append to")
	for pointer, name := range map[string]string{"/stream": i.Stream, "/type": i.Type} {
		c.text(pointer, name, 256)
		if strings.HasPrefix(name, "$") {
			c.wrong(pointer, "must not begin with '$': those belong to the store")
		}
		for _, found := range placeholders.FindAllString(name, -1) {
			if !slices.Contains(InboxPlaceholders, found) {
				c.wrong(pointer, "must not have %s: there are %s", found, strings.Join(InboxPlaceholders, ", "))
			}
		}
	}
	set := 0
	if n := i.NATS; n != nil {
		set++
		c.natsConnection("/nats/", &n.NATSConnection)
		c.required("/nats/stream", n.Stream, "the stream to consume")
		c.natsName("/nats/stream", n.Stream)
		if n.Consumer == "" {
			n.Consumer = strings.ReplaceAll(i.Name, ".", "-")
		}
		c.natsName("/nats/consumer", n.Consumer)
		c.text("/nats/subject", n.Subject, maxPath)
	}
	if k := i.Kafka; k != nil {
		set++
		c.kafkaConnection("/kafka/", &k.KafkaConnection)
		if len(k.Topics) == 0 {
			c.wrong("/kafka/topics", "must be at least one")
		}
		for n, topic := range k.Topics {
			c.required("/kafka/topics/"+strconv.Itoa(n), topic, "a topic")
		}
		if k.Group == "" {
			k.Group = i.Name
		}
		c.text("/kafka/group", k.Group, 255)
	}
	if r := i.RabbitMQ; r != nil {
		set++
		c.rabbitMQConnection("/rabbitmq/", &r.RabbitMQConnection)
		c.required("/rabbitmq/queue", r.Queue, "the queue to consume")
	}
	if set != 1 {
		c.wrong("", `must have one of "nats", "kafka" and "rabbitmq"`)
	}
	if len(c.mistakes) > 0 {
		return i, &InvalidError{i.Name, c.mistakes}
	}
	return i, nil
}
