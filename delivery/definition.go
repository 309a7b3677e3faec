package delivery

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/57528e99/recount/delivery/transform"
)

// Definition is what a subscription is. What is left out has a default, which a Definition that was read
// from a Store has filled in.
type Definition struct {
	// Name is the name of the subscription: lower-case letters, digits, '.', '_' and '-', at most 100
	// bytes, the first a letter. Required.
	Name string `json:"name"`
	// Description and Owner tell people what it is for, and whom to ask. At most 1,000 and 200 bytes.
	Description string `json:"description,omitempty"`
	Owner       string `json:"owner,omitempty"`
	// Paused makes it deliver nothing until it is resumed.
	Paused bool `json:"paused"`
	// Source is where its events come from. Default: the log.
	Source Source `json:"source"`
	// Filter is a pattern of package pattern that picks events. Default: null, all events but those of the
	// store, whose types begin with '$'.
	Filter json.RawMessage `json:"filter,omitempty"`
	// Enrich says what is looked up for an event, and put beside it: by names of letters, digits and '_', at most 10. A transform sees it as
	// enriched.<name>. Default: nothing.
	Enrich map[string]Enrichment `json:"enrich,omitempty"`
	// Transform says what the target gets of an event as its data. Default: the event's own.
	Transform *transform.Config `json:"transform,omitzero"`
	// Start is where it begins. It is looked at when the subscription is made, never again. Default: "end".
	Start Start `json:"start"`
	// Key is by what events are kept in order. Default: "stream".
	Key Key `json:"key"`
	// Partitions is how many queues its keys are dealt to: a power of two, at most 256. Default: 4; 1 if it is pulled, which has
	// no others.
	Partitions int `json:"partitions"`
	// MaxInFlight is how many attempts a partition makes at once, from 1 to 1,000. Default: 16.
	MaxInFlight int `json:"max_in_flight"`
	// MaxParked is how many rows that are not dead a partition may have before it reads no more, from 1 to
	// 1,000,000. Default: 10,000.
	MaxParked int `json:"max_parked"`
	// Batch says how many events an attempt has.
	Batch Batch `json:"batch"`
	// Target is where the events go. Required.
	Target TargetConfig `json:"target"`
	// Retry says when an event that failed is tried again, and how often.
	Retry Retry `json:"retry"`
	// AfterDead says what becomes of later events of a key that has a dead letter. Default: "continue".
	AfterDead AfterDead `json:"after_dead"`
	// Bisect halves a batch that failed as a whole to find the event that it failed for. Default: true.
	Bisect *bool `json:"bisect"`
	// Breaker says when a target is taken for down.
	Breaker Breaker `json:"breaker"`
	// DeadLetters says how long dead letters are kept.
	DeadLetters DeadLetters `json:"dead_letters"`
	// LogAttempts says which attempts are kept, for seven days. Default: "failures".
	LogAttempts LogAttempts `json:"log_attempts"`
	// Replays says whether a replay may send the target what it had already: see Admin.Replay. Default: "refuse".
	Replays Replays `json:"replays"`
}

// Source is where the events of a subscription come from. One member is set.
type Source struct {
	// Log is the event log.
	Log *LogSource `json:"log,omitzero"`
	// Changes is what changes in the rows of a projection.
	Changes *ChangesSource `json:"changes,omitzero"`
}

// LogSource is the event log as a source. It has no choices.
type LogSource struct{}

// Start is where a subscription begins: in JSON "beginning", "end", {"position":7}, {"time":"…"} or
// {"after_event":"<id>"}.
type Start struct {
	// At is "beginning" or "end"; empty if another member is set.
	At string
	// Position is that of the first event.
	Position int64
	// Time: the first event is the first that was recorded then or later.
	Time time.Time
	// AfterEvent is the id of the event before the first.
	AfterEvent string
}

// Key is by what the events of a subscription are kept in order: in JSON "stream", "none" or
// {"path":"/data/customer_id"}.
type Key struct {
	// By is "stream", or "none": every event is its own key. Empty if Path is set.
	By string
	// Path is the JSON pointer of a member of the event as it is delivered. All events without it share a key.
	Path string
}

// Batch says how many events an attempt has, and how long one waits for more.
type Batch struct {
	// MaxEvents is from 1 to 10,000. Default: 1; 500 if the target is a message broker.
	MaxEvents int `json:"max_events"`
	// MaxBytes is how many bytes of data and metadata they have, one event that is larger aside, from 1 to
	// 64 MiB. Default: 1 MiB.
	MaxBytes int `json:"max_bytes"`
	// Wait is how long the first event waits for others, at most 5 minutes. Default: 0.
	Wait Duration `json:"wait"`
}

// TargetConfig is where the events of a subscription go. One member is set.
type TargetConfig struct {
	// Handler is a Go handler that a program registered.
	Handler *HandlerTarget `json:"handler,omitzero"`
	// SQL is a function in the database of the log.
	SQL *SQLTarget `json:"sql,omitzero"`
	// Append appends the event to another stream of the log.
	Append *AppendTarget `json:"append,omitzero"`
	// HTTP sends requests.
	HTTP *HTTPTarget `json:"http,omitzero"`
	// Webhook sends signed requests, an event each.
	Webhook *WebhookTarget `json:"webhook,omitzero"`
	// Email sends mails.
	Email *EmailTarget `json:"email,omitzero"`
	// Recount sends events to another Recount.
	Recount *RecountTarget `json:"recount,omitzero"`
	// Gather gathers events that belong together, and appends one for all.
	Gather *GatherTarget `json:"gather,omitzero"`
	// Window counts events in windows of time.
	Window *WindowTarget `json:"window,omitzero"`
	// Archive keeps events in files.
	Archive *ArchiveTarget `json:"archive,omitzero"`
	// NATS, Kafka and RabbitMQ hand events over to brokers.
	NATS     *NATSTarget     `json:"nats,omitzero"`
	Kafka    *KafkaTarget    `json:"kafka,omitzero"`
	RabbitMQ *RabbitMQTarget `json:"rabbitmq,omitzero"`
	// Pull keeps events for callers who ask for them: see Broker.
	Pull *PullTarget `json:"pull,omitzero"`
}

// PullTarget keeps events for callers who ask for them. Any process hands them out. What a partition does, a batch, the
// breaker and max_in_flight have no meaning.
type PullTarget struct {
	// Lease is for how long a caller has an event who does not say how long, from 1 s to 15 minutes. Default: 30 s.
	Lease Duration `json:"lease"`
	// PerKey is how many consecutive events of a key a caller gets at once, from 1 to 100. Default: 1.
	PerKey int `json:"per_key"`
}

// HandlerTarget names a Go handler.
type HandlerTarget struct {
	Name string `json:"name"`
}

// SQLTarget names a function in the database of the log. It is called with the event as jsonb, in the
// transaction that moves the cursor.
type SQLTarget struct {
	// Function is its name, which may be qualified with a schema: schema.function.
	Function string `json:"function"`
	// Remember makes an event have its effect once across resets and replays too.
	Remember bool `json:"remember,omitzero"`
}

// AppendTarget appends the event to another stream of the log.
type AppendTarget struct {
	// Stream is the name of the stream, in which {stream}, {category}, {id} and {type} stand for the name of the event's
	// stream, what is before and what is behind the first '-' of it, and the event's type. Required.
	Stream string `json:"stream"`
	// Type is the type of the new event. Default: that of the event.
	Type string `json:"type,omitempty"`
	// MaxHops is how many such appends an event may come from, from 1 to 32. Default: 4.
	MaxHops int `json:"max_hops"`
}

// HTTPTarget sends events as requests.
type HTTPTarget struct {
	// URL is http or https. Required.
	URL string `json:"url"`
	// Method is POST, PUT or PATCH. Default: POST.
	Method string `json:"method"`
	// Format is how events are written. Default: "event".
	Format HTTPFormat `json:"format"`
	// Headers are sent with each request.
	Headers map[string]Secret `json:"headers,omitempty"`
	// Timeout bounds an attempt, from 100 ms to 15 minutes. Default: 10 s.
	Timeout Duration `json:"timeout"`
	// RateLimit is how many requests a process sends in a second at most. Default: 0, as many as there are.
	RateLimit float64 `json:"rate_limit,omitzero"`
	// Auth says how requests are authenticated. Default: not.
	Auth *HTTPAuth `json:"auth,omitzero"`
}

// HTTPFormat is how an HTTP target writes events.
type HTTPFormat string

// The formats. A batch of events is a JSON array of what one is.
const (
	// FormatEvent is the event as a JSON object, as the API gives it.
	FormatEvent HTTPFormat = "event"
	// FormatCloudEvents is a CloudEvents 1.0 object in structured mode, FormatCloudEventsBinary is the
	// data with the rest in headers, for one event at a time.
	FormatCloudEvents       HTTPFormat = "cloudevents"
	FormatCloudEventsBinary HTTPFormat = "cloudevents-binary"
	// FormatData is the data and nothing else, in a batch as base64 if they are no JSON.
	FormatData HTTPFormat = "data"
)

// HTTPAuth authenticates requests. One member is set.
type HTTPAuth struct {
	// APIKey is sent in a header.
	APIKey *APIKeyAuth `json:"api_key,omitzero"`
	Basic  *BasicAuth  `json:"basic,omitzero"`
	// OAuth gets a token with client credentials.
	OAuth *OAuthAuth `json:"oauth,omitzero"`
}

// APIKeyAuth sends a secret in a header.
type APIKeyAuth struct {
	// Header is its name. Default: Authorization.
	Header string `json:"header"`
	Value  Secret `json:"value"`
}

// BasicAuth is that of RFC 7617.
type BasicAuth struct {
	User     string `json:"user"`
	Password Secret `json:"password"`
}

// OAuthAuth gets a token by the client credentials grant of RFC 6749, and again before it expires.
type OAuthAuth struct {
	TokenURL     string   `json:"token_url"`
	ClientID     string   `json:"client_id"`
	ClientSecret Secret   `json:"client_secret"`
	Scopes       []string `json:"scopes,omitempty"`
}

// Secret is a value, or where the value is found: in JSON a text, {"env":"RECOUNT_SECRET_NAME"} or
// {"file":"/run/secrets/name"}. What
// is a secret must not be a text: it would come back in answers.
type Secret struct {
	Value, Env, File string
}

// Retry says when an event that failed is tried again: after full jitter of First · Factor^(n-1), at most
// Cap, when it failed n times.
type Retry struct {
	// MaxAttempts is how many attempts may be charged to an event before it is dead, from 1 to 1,000.
	// Default: 16.
	MaxAttempts int `json:"max_attempts"`
	// MaxAge is how long after its first failure an event is dead at the next. Default: 24 h. At most a year.
	MaxAge Duration `json:"max_age"`
	// First is from 10 ms on. Default: 1 s.
	First Duration `json:"first"`
	// Factor is from 1 to 10. Default: 2.
	Factor float64 `json:"factor"`
	// Cap is at most 24 h. Default: 10 min.
	Cap Duration `json:"cap"`
}

// AfterDead says what becomes of later events of a key that has a dead letter.
type AfterDead string

const (
	// Continue delivers them.
	Continue AfterDead = "continue"
	// Hold keeps them behind it until an operator has decided.
	Hold AfterDead = "hold"
)

// Breaker says when a target is taken for down.
type Breaker struct {
	// Keys is how many keys in a row must fail, from 1 to 10,000. Default: 20.
	Keys int `json:"keys"`
}

// DeadLetters says how long dead letters are kept.
type DeadLetters struct {
	// Retention is at least an hour. Default: 14 days.
	Retention Duration `json:"retention"`
}

// LogAttempts says which attempts are kept.
type LogAttempts string

// The choices.
const (
	LogFailures LogAttempts = "failures"
	LogAll      LogAttempts = "all"
)

// Replays says whether a replay may send a target what it had already.
type Replays string

// The choices.
const (
	RefuseReplays Replays = "refuse"
	AllowReplays  Replays = "allow"
)

// Duration is a time.Duration that is text in JSON, such as "10s".
type Duration time.Duration

// String returns the duration without parts that are zero: "10m", not "10m0s".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New(`must be a duration such as "10s", "90m" or "336h"`)
	}
	*d = Duration(parsed)
	return nil
}
