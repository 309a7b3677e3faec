package adminapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/operations"
)

// Webhook is an endpoint: a subscription that sends signed requests.
type Webhook struct {
	ID       string `json:"id"`
	Revision int64  `json:"revision"`
	// State is enabled or disabled: by an operator, or as the receiver wants no more.
	State    webhookState     `json:"state"`
	Disabled *WebhookDisabled `json:"disabled,omitempty"`
	// Delivery is how its subscription gets on.
	Delivery    operations.State           `json:"delivery"`
	URL         string                     `json:"url"`
	Owner       string                     `json:"owner,omitempty"`
	Description string                     `json:"description,omitempty"`
	Filter      jsontext.Value             `json:"filter,omitempty"`
	Order       webhookOrder               `json:"order"`
	RateLimit   float64                    `json:"rate_limit,omitzero"`
	Timeout     delivery.Duration          `json:"timeout"`
	Headers     map[string]delivery.Secret `json:"headers,omitempty"`
	Retry       delivery.Retry             `json:"retry"`
	Signature   delivery.Signature         `json:"signature,omitempty"`
	// Secret is where the secret of one is found who brings their own, Keys name those that are derived.
	Secret *delivery.Secret      `json:"secret,omitempty"`
	Keys   []delivery.SigningKey `json:"keys,omitempty"`
	// Secrets are there when it was made or rotated.
	Secrets []webhook.Secret `json:"secrets,omitempty"`
	// Delivered, Waiting and Dead count events; LagSeconds is as in a subscription.
	Delivered  int64               `json:"delivered"`
	Waiting    int64               `json:"waiting"`
	Dead       int64               `json:"dead"`
	LagSeconds *float64            `json:"lag_seconds"`
	LastError  *operations.Trouble `json:"last_error,omitempty"`
	CreatedAt  time.Time           `json:"created_at"`
	UpdatedAt  time.Time           `json:"updated_at"`
}

// WebhookDisabled says why a webhook is.
type WebhookDisabled struct {
	// By is operator or receiver.
	By string `json:"by"`
	// At and Error are when and by which answer the receiver said so.
	At    *time.Time `json:"at,omitempty"`
	Error string     `json:"error,omitempty"`
	Hint  string     `json:"hint,omitempty"`
}

type webhookState string

const (
	webhookEnabled  webhookState = "enabled"
	webhookDisabled webhookState = "disabled"
)

// webhookOrder says by what events are kept in order: as delivery.Key.By.
type webhookOrder string

func webhookOf(s *delivery.Status) Webhook {
	d := &s.Definition
	t := d.Target.Webhook
	w := Webhook{
		ID: strings.TrimPrefix(s.Name, webhookPrefix), Revision: s.Revision, State: webhookEnabled, Delivery: s.State, URL: t.URL, Owner: d.Owner,
		Description: d.Description, Filter: jsontext.Value(d.Filter), Order: webhookOrder(d.Key.By), RateLimit: t.RateLimit, Timeout: t.Timeout, Headers: t.Headers,
		Retry: d.Retry, Signature: t.Signature, Secret: t.Secret, Keys: t.Keys, Waiting: s.Parked, Dead: s.Dead, LagSeconds: s.LagSeconds,
		CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(),
	}
	for i := range s.Partitions {
		p := &s.Partitions[i]
		w.Delivered += p.Delivered
		if p.LastError != nil && (w.LastError == nil || p.LastError.At.After(w.LastError.At)) {
			w.LastError = p.LastError
		}
	}
	switch f := s.Failure; {
	case f != nil:
		w.State, w.Disabled = webhookDisabled, &WebhookDisabled{By: "receiver", At: &f.At, Error: f.Error, Hint: f.Hint}
		if f.Reason != delivery.ReasonGone {
			w.Disabled.By = "service"
		}
	case d.Paused:
		w.State, w.Disabled = webhookDisabled, &WebhookDisabled{By: "operator"}
	}
	return w
}

// webhookBody makes a webhook, or changes what is there of it.
type webhookBody struct {
	// ID is for who makes one. Default: one of random letters.
	ID          string  `json:"id"`
	URL         *string `json:"url"`
	Owner       *string `json:"owner"`
	Description *string `json:"description"`
	// Types are those of the events, and short for a filter that has nothing else.
	Types     []string                   `json:"types"`
	Filter    jsontext.Value             `json:"filter"`
	Order     webhookOrder               `json:"order"`
	RateLimit *float64                   `json:"rate_limit"`
	Timeout   delivery.Duration          `json:"timeout"`
	Headers   map[string]delivery.Secret `json:"headers"`
	Retry     *delivery.Retry            `json:"retry"`
	State     webhookState               `json:"state"`
	// Signature, Secret and Start are for who makes one.
	Signature delivery.Signature `json:"signature"`
	Secret    *delivery.Secret   `json:"secret"`
	Start     delivery.Start     `json:"start"`
}

// Validate implements httpapi.Validator.
func (b webhookBody) Validate() error {
	switch {
	case b.Types != nil && len(b.Types) == 0:
		return &delivery.FieldError{Pointer: "/types", Reason: "must name one or more; all events match the filter null"}
	case len(b.Types) > 0 && len(b.Filter) > 0:
		return &delivery.FieldError{Pointer: "/types", Reason: "must be left out beside filter, which may name types as well"}
	case b.Order != "" && b.Order != delivery.ByNone && b.Order != delivery.ByStream:
		return &delivery.FieldError{Pointer: "/order", Reason: `must be "none" or "stream"`}
	case b.State != "" && b.State != webhookEnabled && b.State != webhookDisabled:
		return &delivery.FieldError{Pointer: "/state", Reason: `must be "enabled" or "disabled"`}
	}
	return nil
}

func (b *webhookBody) onlyChanges() error {
	invalid := &delivery.InvalidError{}
	for _, m := range []struct {
		pointer string
		there   bool
	}{{"/id", b.ID != ""}, {"/signature", b.Signature != ""}, {"/secret", b.Secret != nil}, {"/start", b.Start != delivery.Start{}}} {
		if m.there {
			invalid.Mistakes = append(invalid.Mistakes, &delivery.FieldError{Pointer: m.pointer, Reason: "must be left out: it is said when the webhook is made"})
		}
	}
	if invalid.Mistakes == nil {
		return nil
	}
	return invalid
}

// into sets what the body has.
func (b *webhookBody) into(d *delivery.Definition) {
	t := *d.Target.Webhook // the one of before may be looked at
	d.Target.Webhook = &t
	set(&t.URL, b.URL)
	set(&d.Owner, b.Owner)
	set(&d.Description, b.Description)
	set(&t.RateLimit, b.RateLimit)
	set(&d.Retry, b.Retry)
	if len(b.Types) > 0 {
		// Texts have no error.
		d.Filter, _ = json.Marshal(map[string][]string{"type": b.Types})
	}
	if len(b.Filter) > 0 {
		d.Filter = []byte(b.Filter)
	}
	if b.Order != "" {
		d.Key = delivery.Key{By: string(b.Order)}
	}
	if b.Timeout != 0 {
		t.Timeout = b.Timeout
	}
	if b.Headers != nil {
		t.Headers = b.Headers
	}
	if b.State != "" {
		d.Paused = b.State == webhookDisabled
	}
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// inBody makes pointers of a definition those of a webhookBody.
func inBody(err error) error {
	var invalid *delivery.InvalidError
	if !errors.As(err, &invalid) {
		return err
	}
	moved := &delivery.InvalidError{Subscription: invalid.Subscription}
	for _, m := range invalid.Mistakes {
		pointer := strings.TrimPrefix(m.Pointer, "/target/webhook")
		switch pointer {
		case "/name":
			pointer = "/id"
		case "/key":
			pointer = "/order"
		}
		moved.Mistakes = append(moved.Mistakes, &delivery.FieldError{Pointer: pointer, Reason: m.Reason})
	}
	return moved
}

// expected returns a webhook that is as a request demands.
func (r webhookRoutes) expected(ctx context.Context, id string, expected eventstore.ExpectedVersion) (delivery.Status, error) {
	s, err := r.get(ctx, id)
	if err != nil {
		return s, err
	}
	revision, exact := expected.Exact()
	if exact && revision != s.Revision || expected == eventstore.NoStream {
		return s, &delivery.RevisionError{Subscription: s.Name, Expected: revision, Actual: s.Revision}
	}
	return s, nil
}

var (
	errWebhookNotFound = eventstore.NewError(eventstore.ClassNotFound, "webhook not found")
	errWebhookExists   = eventstore.NewError(eventstore.ClassConflict, "there is a webhook of the id")
	errOwnSecret       = eventstore.NewError(eventstore.ClassConflict, "the webhook brings its secret")
)

var ofWebhooks = []httpapi.DomainProblem{
	{Err: errWebhookNotFound, Kind: httpapi.Kind{Code: "webhook-not-found", Status: http.StatusNotFound,
		Title:   "Webhook not found",
		Meaning: "There is no webhook of the id. Nothing was done.",
		Fix:     "GET /v1/webhooks lists them, as {program} webhooks ls does."}},
	{Err: errWebhookExists, Kind: httpapi.Kind{Code: "webhook-exists", Status: http.StatusConflict,
		Title:   "Webhook exists",
		Meaning: "There is a webhook, or a subscription, of the id. Nothing was made.",
		Fix:     "GET it to see whether it is the one; PATCH changes it. Leave the id out to have one made."}},
	{Err: errOwnSecret, Kind: httpapi.Kind{Code: "webhook-brings-secret", Status: http.StatusConflict,
		Title:   "Webhook with a secret of its own",
		Meaning: "The secret of the webhook is in the environment or a file of the processes that deliver, and nowhere else. Nothing was done.",
		Fix:     "Change it there. Several secrets with spaces between are all signed with, for as long as receivers take to change."}},
	{Err: webhook.ErrNoMasterKey, Kind: httpapi.Kind{Code: "webhook-key-missing", Status: http.StatusConflict,
		Title:   "No key for the secrets of webhooks",
		Meaning: "The secrets of webhooks are derived from a key of the service, and this server has none. Nothing was done.",
		Fix: "Start all processes with the same key: {PROGRAM}_WEBHOOK_KEY, 32 random bytes or more (openssl rand -base64 32), or --webhook-key-file. " +
			"Or bring the secret of this webhook: {\"secret\":{\"env\":\"NAME\"}}."}},
}
