package delivery

import (
	"fmt"
	"regexp"
	"time"
)

// WebhookTarget sends events as requests that are signed as Standard Webhooks 1.0.0 says, one event each: headers
// webhook-id, webhook-timestamp and webhook-signature. Method, format, headers, time-out and rate are those of an
// HTTPTarget; the time-out is 20 s by default, and Auth is left out. Plain HTTP goes only to networks that are let through.
type WebhookTarget struct {
	HTTPTarget
	// Secret is where the secrets are found of one who brings their own: "whsec_…" (v1) or "whsk_…" (v1a), in base64;
	// several, with spaces between, are all signed with. Default: there are Keys.
	Secret *Secret `json:"secret,omitzero"`
	// Keys name the secrets that are derived from the key of the service, at most 8. All that are in force sign.
	Keys []SigningKey `json:"keys,omitempty"`
	// Signature is what is signed with Keys by. Default: "v1".
	Signature Signature `json:"signature,omitempty"`
}

// WebhookPrefix begins the names of the subscriptions that are made as webhooks, one by one. A file that has all others does not
// have them: Admin.Apply leaves them alone.
const WebhookPrefix = "webhook."

// SigningKey names a secret. The secret itself is written nowhere.
type SigningKey struct {
	// ID is made by package webhook, for a subscription of one name.
	ID string `json:"id"`
	// Until is when it ends; zero: it does not.
	Until time.Time `json:"until,omitzero"`
}

// Signature is a scheme of Standard Webhooks.
type Signature string

// The schemes.
const (
	// SignatureV1 is HMAC-SHA256, with a secret that both sides have, SignatureV1a ed25519, where the receiver has
	// only a public key.
	SignatureV1  Signature = "v1"
	SignatureV1a Signature = "v1a"
)

// Requests returns what targets that send requests have in common; nil: the target is none.
func (t TargetConfig) Requests() *HTTPTarget {
	if t.Webhook != nil {
		return &t.Webhook.HTTPTarget
	}
	if t.Recount != nil {
		return t.Recount.Requests()
	}
	return t.HTTP
}

const (
	// MaxSigningKeys is how many keys a webhook may have at a time.
	MaxSigningKeys = 8
	webhookTimeout = Duration(20 * time.Second)
)

var signingKeySyntax = regexp.MustCompile(`^[A-Za-z0-9_-]{8,64}$`)

func (c *checker) webhook(at string, t *WebhookTarget, batch Batch) {
	if t.Timeout == 0 {
		t.Timeout = webhookTimeout
	}
	c.http(at, &t.HTTPTarget, batch)
	if batch.MaxEvents > 1 {
		c.wrong("/batch/max_events", "must be 1: what is signed is one event")
	}
	if t.Auth != nil {
		c.wrong(at+"auth", "must be left out: requests are signed, and a receiver that wants a key beside gets it in headers")
	}
	switch n := len(t.Keys); {
	case t.Secret != nil && n > 0:
		c.wrong(at+"keys", "must be left out beside secret")
	case t.Secret != nil:
		c.secret(at+"secret", *t.Secret)
	case n < 1 || n > MaxSigningKeys:
		c.wrong(at+"keys", "must be 1 to %d, it is %d: POST /v1/webhooks makes a webhook with one; or give a secret, %s", MaxSigningKeys, n, secretForms)
	default:
		choice(c, at+"signature", &t.Signature, SignatureV1, SignatureV1a)
	}
	for i := range t.Keys {
		if k := &t.Keys[i]; !signingKeySyntax.MatchString(k.ID) {
			c.wrong(fmt.Sprintf("%skeys/%d/id", at, i), "must be the id of a key")
		} else if !k.Until.IsZero() {
			k.Until = k.Until.UTC().Truncate(time.Second)
		}
	}
}
