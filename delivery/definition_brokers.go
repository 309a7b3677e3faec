package delivery

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of targets that are brokers. They are packages of their own, below this one, which a program links if it uses them.
const (
	KindNATS     = "nats"
	KindKafka    = "kafka"
	KindRabbitMQ = "rabbitmq"
)

// BrokerTarget is what targets that are brokers have in common.
type BrokerTarget struct {
	// Format is how events are written. Default: "cloudevents-binary".
	Format HTTPFormat `json:"format"`
	// Timeout bounds an attempt, from 100 ms to 15 minutes. Default: 30 s.
	Timeout Duration `json:"timeout"`
}

// BrokerTLS says how connections to a broker are encrypted. What it names is in PEM.
type BrokerTLS struct {
	// CA has the certificates that the broker's may be signed with. Default: those of the machine.
	CA Secret `json:"ca,omitzero"`
	// Certificate and Key are what this side shows. Both or none.
	Certificate Secret `json:"certificate,omitzero"`
	Key         Secret `json:"key,omitzero"`
	// ServerName is what the broker's certificate is for. Default: the host that is connected to.
	ServerName string `json:"server_name,omitempty"`
}

// NATSConnection is how NATS is reached.
type NATSConnection struct {
	// Servers are the addresses of servers of one cluster, such as nats://nats-1:4222 or tls://nats-1:4222, at most 16. Required.
	Servers []string `json:"servers"`
	// User and Password, Token, or Credentials, a file of a user with keys, log in. The first two need TLS, or a server on this machine.
	// Default: none of them.
	User        string `json:"user,omitempty"`
	Password    Secret `json:"password,omitzero"`
	Token       Secret `json:"token,omitzero"`
	Credentials Secret `json:"credentials,omitzero"`
	// TLS encrypts connections. Default: null, they are not, unless an address says so.
	TLS *BrokerTLS `json:"tls,omitzero"`
}

// NATSTarget publishes events to a stream of NATS JetStream.
type NATSTarget struct {
	BrokerTarget
	NATSConnection
	// Subject is what events are published to, with placeholders as AppendTarget has them. What stands for one is one token: other
	// bytes than letters, digits, '-' and '_' are in it as %2E. Required.
	Subject string `json:"subject"`
	// Stream is the name of the stream that must take them. Default: the one that the subject leads to.
	Stream string `json:"stream,omitempty"`
}

// KafkaConnection is how Kafka is reached, and what speaks its protocol.
type KafkaConnection struct {
	// Brokers are addresses that the cluster is asked at, such as kafka-1:9092, at most 16. Required.
	Brokers []string `json:"brokers"`
	// SASL logs in. Default: null, nobody does.
	SASL *KafkaSASL `json:"sasl,omitzero"`
	// TLS encrypts connections. Default: null, they are not.
	TLS *BrokerTLS `json:"tls,omitzero"`
}

// KafkaTarget produces events to topics. The key of a record is that of the event.
type KafkaTarget struct {
	BrokerTarget
	KafkaConnection
	// Topic is where events go, with placeholders as AppendTarget has them. What stands for one has '_' for bytes other than letters,
	// digits, '.', '-' and '_'. Required.
	Topic string `json:"topic"`
	// MaxMessageBytes is max.message.bytes of the topics, from 1 KiB to 64 MiB: larger events are dead letters. Default: 1,000,000.
	MaxMessageBytes int `json:"max_message_bytes"`
}

// KafkaSASL logs in to Kafka.
type KafkaSASL struct {
	// Mechanism is "plain", "scram-sha-256" or "scram-sha-512". Default: "plain", which needs TLS.
	Mechanism string `json:"mechanism"`
	User      string `json:"user"`
	Password  Secret `json:"password"`
}

// RabbitMQConnection is how RabbitMQ is reached.
type RabbitMQConnection struct {
	// URL is amqp or amqps, with the virtual host as path: amqp://rabbitmq:5672/shop. Required.
	URL string `json:"url"`
	// User and Password log in, which needs amqps, or a broker on this machine. Default: guest, whom a broker lets in from its own machine.
	User     string `json:"user,omitempty"`
	Password Secret `json:"password,omitzero"`
	// TLS says how an amqps connection is encrypted. Default: by the certificates of the machine.
	TLS *BrokerTLS `json:"tls,omitzero"`
}

// RabbitMQTarget publishes events to an exchange.
type RabbitMQTarget struct {
	BrokerTarget
	RabbitMQConnection
	// Exchange is where events go. Default: "", by which the routing key is the name of a queue.
	Exchange string `json:"exchange,omitempty"`
	// RoutingKey has placeholders as AppendTarget has them. What stands for one is one word, as in NATSTarget. Required.
	RoutingKey string `json:"routing_key"`
}

// Broker returns what targets that are brokers have in common; nil: the target is none.
func (t TargetConfig) Broker() *BrokerTarget {
	switch {
	case t.NATS != nil:
		return &t.NATS.BrokerTarget
	case t.Kafka != nil:
		return &t.Kafka.BrokerTarget
	case t.RabbitMQ != nil:
		return &t.RabbitMQ.BrokerTarget
	}
	return nil
}

// brokerBatch is how many events an attempt has by default of a target that says of each whether it took it.
const brokerBatch = 500

const maxServers = 16

func (c *checker) broker(at string, t *BrokerTarget) {
	choice(c, at+"format", &t.Format, FormatCloudEventsBinary, FormatCloudEvents, FormatEvent)
	c.duration(at+"timeout", &t.Timeout, 30*time.Second, 100*time.Millisecond, 15*time.Minute)
}

func (c *checker) tls(at string, t *BrokerTLS) {
	if t == nil {
		return
	}
	at += "tls/"
	if t.CA != (Secret{}) {
		c.secret(at+"ca", t.CA)
	}
	if t.Certificate != (Secret{}) || t.Key != (Secret{}) {
		c.secret(at+"certificate", t.Certificate)
		c.secret(at+"key", t.Key)
	}
	c.text(at+"server_name", t.ServerName, maxPath)
}

// name checks one with placeholders.
func (c *checker) name(pointer, name, what string) {
	c.required(pointer, name, what)
	for _, found := range placeholders.FindAllString(name, -1) {
		if !slices.Contains([]string{"{stream}", "{category}", "{id}", "{type}"}, found) {
			c.wrong(pointer, "must not have %s: there are {stream}, {category}, {id} and {type}", found)
		}
	}
}

// login checks user and password.
func (c *checker) login(at, user string, password Secret) {
	c.text(at+"user", user, maxValue)
	switch {
	case user != "":
		c.secret(at+"password", password)
	case password != Secret{}:
		c.wrong(at+"user", "must be there with a password")
	}
}

var subjectSyntax = regexp.MustCompile(`^[^.\s*>]+(\.[^.\s*>]+)*$`)

func (c *checker) nats(at string, t *NATSTarget) {
	c.broker(at, &t.BrokerTarget)
	c.natsConnection(at, &t.NATSConnection)
	c.name(at+"subject", t.Subject, "the subject to publish to")
	switch bare := placeholders.ReplaceAllString(t.Subject, "x"); {
	case !subjectSyntax.MatchString(bare):
		c.wrong(at+"subject", "must be tokens with '.' between, without spaces, '*' and '>'")
	case strings.HasPrefix(bare, "$"):
		c.wrong(at+"subject", "must not begin with '$': those belong to NATS")
	}
	c.natsName(at+"stream", t.Stream)
}

// natsName checks the name of a stream or a consumer.
func (c *checker) natsName(pointer, name string) {
	if strings.ContainsAny(name, " .*>/\\\t\r\n") {
		c.wrong(pointer, "must be a name without spaces, '.', '*', '>' and slashes")
	}
	c.text(pointer, name, 255)
}

func (c *checker) natsConnection(at string, t *NATSConnection) {
	if n := len(t.Servers); n < 1 || n > maxServers {
		c.wrong(at+"servers", "must be 1 to %d addresses such as nats://nats-1:4222, it is %d", maxServers, n)
	}
	for i, server := range t.Servers {
		c.address(at+"servers/"+strconv.Itoa(i), server, "nats", "tls")
	}
	c.login(at, t.User, t.Password)
	c.tls(at, t.TLS)
	set := 0
	for name, secret := range map[string]Secret{"token": t.Token, "credentials": t.Credentials} {
		if secret != (Secret{}) {
			set++
			c.secret(at+name, secret)
		}
	}
	if t.User != "" {
		set++
	}
	if t.TLS == nil && (t.User != "" || t.Token != Secret{}) {
		for i, server := range t.Servers {
			c.encrypted(at+"servers/"+strconv.Itoa(i), server, "tls")
		}
	}
	if set > 1 {
		c.wrong(strings.TrimSuffix(at, "/"), "must have one of user, token and credentials at most")
	}
}

var topicSyntax = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func (c *checker) kafka(at string, t *KafkaTarget) {
	c.broker(at, &t.BrokerTarget)
	c.kafkaConnection(at, &t.KafkaConnection)
	c.name(at+"topic", t.Topic, "the topic to produce to")
	if bare := placeholders.ReplaceAllString(t.Topic, "x"); !topicSyntax.MatchString(bare) || strings.Trim(bare, ".") == "" {
		c.wrong(at+"topic", "must be letters, digits, '.', '_' and '-', and placeholders")
	}
	number(c, at+"max_message_bytes", &t.MaxMessageBytes, 1_000_000, 1<<10, 64<<20)
}

func (c *checker) kafkaConnection(at string, t *KafkaConnection) {
	if n := len(t.Brokers); n < 1 || n > maxServers {
		c.wrong(at+"brokers", "must be 1 to %d addresses such as kafka-1:9092, it is %d", maxServers, n)
	}
	for i, broker := range t.Brokers {
		if host, port, err := net.SplitHostPort(broker); err != nil || !hostSyntax.MatchString(host) || !portSyntax.MatchString(port) {
			c.wrong(at+"brokers/"+strconv.Itoa(i), "must be host:port, such as kafka-1:9092")
		}
	}
	c.tls(at, t.TLS)
	if t.SASL == nil {
		return
	}
	choice(c, at+"sasl/mechanism", &t.SASL.Mechanism, "plain", "scram-sha-256", "scram-sha-512")
	c.required(at+"sasl/user", t.SASL.User, "who logs in")
	c.secret(at+"sasl/password", t.SASL.Password)
	if t.SASL.Mechanism == "plain" && t.TLS == nil {
		c.wrong(at+"sasl/mechanism", `must not be "plain" without tls: everybody on the way could read the password`)
	}
}

func (c *checker) rabbitMQ(at string, t *RabbitMQTarget) {
	c.broker(at, &t.BrokerTarget)
	c.rabbitMQConnection(at, &t.RabbitMQConnection)
	c.text(at+"exchange", t.Exchange, 255)
	c.name(at+"routing_key", t.RoutingKey, "the routing key to publish with, for the exchange \"\" the name of a queue")
}

func (c *checker) rabbitMQConnection(at string, t *RabbitMQConnection) {
	c.address(at+"url", t.URL, "amqp", "amqps")
	if t.TLS != nil && strings.HasPrefix(t.URL, "amqp:") {
		c.wrong(at+"url", "must be amqps with tls")
	}
	c.tls(at, t.TLS)
	c.login(at, t.User, t.Password)
	if t.User != "" {
		c.encrypted(at+"url", t.URL, "amqps")
	}
}

var portSyntax = regexp.MustCompile(`^[0-9]{1,5}$`)

// address checks the URL of a broker.
func (c *checker) address(pointer, text string, schemes ...string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || !slices.Contains(schemes, u.Scheme) || u.Hostname() == "":
		c.wrong(pointer, "must be an address such as %s://host:port; there is %s too", schemes[0], schemes[1])
	case u.User != nil:
		c.wrong(pointer, "must have no user and password: there are members for them, with the password as %s", secretForms)
	case u.RawQuery != "" || u.Fragment != "":
		c.wrong(pointer, "must have nothing behind '?' and '#'")
	}
	c.text(pointer, text, maxValue)
}

// encrypted checks that an address that a password or a token goes to is of that scheme, or of this machine.
func (c *checker) encrypted(pointer, text, scheme string) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == scheme || u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback() {
		return
	}
	c.wrong(pointer, "must be %s, or of this machine, with a password or a token: everybody on the way could read it", scheme)
}
