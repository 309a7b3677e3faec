package webhook

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/internal/background"
)

// Target sends the events of a subscription to one address.
type Target struct {
	config    *delivery.HTTPTarget
	batch     bool // a request has an array of events, also if it is of one
	url       *url.URL
	transport *http.Transport
	limiter   *rate.Limiter // nil: no limit
	headers   []*header
	tokens    *tokens          // nil: no OAuth
	signer    *signer          // nil: requests are not signed
	from      uuid.UUID        // of the log whose events go to another Recount; Nil: they do not
	own       *delivery.Secret // of one who brings the secrets to sign with; nil: they are derived
}

var _ delivery.Target = (*Target)(nil)

// New returns the target of a subscription that goes to delivery.HTTPTarget, or to a delivery.WebhookTarget with secrets of its
// own; Close it. Allow are networks that may be connected to although they are not public. The error is a
// *delivery.InvalidError. Nothing is connected to and no secret is read before something is delivered.
func New(d delivery.Definition, allow []netip.Prefix) (*Target, error) {
	return NewSigned(d, allow, nil)
}

// NewSigned is New for webhooks of all sorts: key is what their secrets are derived from.
func NewSigned(d delivery.Definition, allow []netip.Prefix, key *MasterKey) (*Target, error) {
	d, err := d.Checked()
	if err != nil {
		return nil, err
	}
	c := d.Target.Requests()
	address, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	guard := &guard{allowed: allow}
	t := &Target{config: c, batch: d.Batch.MaxEvents > 1, url: address}
	if w := d.Target.Webhook; w != nil {
		t.signer = &signer{subscription: d.Name, config: w, master: key, derived: make(map[string]signingKey)}
		if w.Secret != nil {
			t.own = w.Secret
		}
		guard.onlyAllowed = address.Scheme == "http"
	}
	t.transport = newTransport(d, guard)
	if c.RateLimit > 0 {
		// The burst makes up for what a timer is late.
		t.limiter = rate.NewLimiter(rate.Limit(c.RateLimit), max(1, int(c.RateLimit/100)))
	}
	t.authenticate()
	return t, nil
}

// NewForwarding returns the target of a subscription that goes to delivery.RecountTarget, of a log with an id.
func NewForwarding(d delivery.Definition, allow []netip.Prefix, from uuid.UUID) (*Target, error) {
	t, err := New(d, allow)
	if err == nil {
		t.from = from
	}
	return t, err
}

// Close closes the connections that no attempt uses. It is called after the last.
func (t *Target) Close() { t.transport.CloseIdleConnections() }

// Deliver implements delivery.Target.
func (t *Target) Deliver(ctx context.Context, d *delivery.Delivery) error {
	if err := t.waitForTurn(ctx); err != nil {
		return err
	}
	m, err := t.message(d)
	if err != nil {
		return err
	}
	return t.attempt(ctx, m, d)
}

// attempt sends a message, and waits for the answer as long as an attempt may take.
func (t *Target) attempt(ctx context.Context, m *message, d *delivery.Delivery) error {
	attempt, cancel := context.WithTimeout(ctx, time.Duration(t.config.Timeout))
	defer cancel()
	err := t.send(attempt, m, d)
	var answered *delivery.ResponseError
	var partial *delivery.PartialError
	switch {
	case attempt.Err() == nil, errors.As(err, &answered), errors.As(err, &partial):
		return err
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("no complete answer within %s: %w", time.Duration(t.config.Timeout), attempt.Err())
	}
	return nil
}

// longestTurn is how long an attempt waits for its turn under the rate limit. Who would wait longer is told to
// come back, so that no attempt looks stuck.
const longestTurn = time.Second

func (t *Target) waitForTurn(ctx context.Context) error {
	if err := ctx.Err(); err != nil || t.limiter == nil {
		return err
	}
	turn := t.limiter.Reserve()
	delay := turn.Delay()
	if delay > longestTurn {
		turn.Cancel()
		return delivery.Throttled(fmt.Errorf("%g requests a second are sent, which is rate_limit", t.config.RateLimit), delay)
	}
	if !background.Sleep(ctx, delay) {
		turn.Cancel()
		return ctx.Err()
	}
	return nil
}

// send sends a message, and once more if its credentials are refused and there are others now.
func (t *Target) send(ctx context.Context, m *message, d *delivery.Delivery) error {
	used, err := t.credentials(ctx, nil)
	if err != nil {
		return err
	}
	err = t.sendWith(ctx, m, used, d)
	var refused *delivery.ResponseError
	if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		return err
	}
	others, otherErr := t.credentials(ctx, used)
	if otherErr != nil || others.same(used) {
		return err
	}
	m.header = m.header.Clone() // the first request may still be looked at
	return t.sendWith(ctx, m, others, d)
}

func (t *Target) sendWith(ctx context.Context, m *message, c *credentials, d *delivery.Delivery) error {
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.body)), nil }
	to := cmp.Or(m.url, t.url)
	r := &http.Request{
		Method: t.config.Method, URL: to, Host: to.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: m.header, ContentLength: int64(len(m.body)), GetBody: body,
	}
	r.Body, _ = body()
	if len(m.body) == 0 {
		r.Body, r.GetBody = http.NoBody, nil
	}
	for i, h := range t.headers {
		m.header[h.name] = []string{c.values[i]}
	}
	if t.tokens != nil {
		m.header["Authorization"] = []string{"Bearer " + c.token}
	}
	if t.signer != nil {
		// With the time of this attempt: receivers refuse what was signed long ago.
		if err := t.signer.sign(m.header, m.id, m.body, c.own, time.Now()); err != nil {
			return err
		}
		d.Exchange = delivery.Exchange{Sent: t.sentHeaders(m.header)}
	}
	answer, err := t.transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return withoutURL(err)
	}
	defer answer.Body.Close()
	if m.takes != nil && answer.StatusCode/100 == 2 {
		return m.takes(answer)
	}
	if t.signer != nil && answer.StatusCode/100 == 2 {
		// A receiver of webhooks has no more to say.
		d.Exchange.Status, d.Exchange.Answer = answer.StatusCode, c.begin(answer.Body, keptOfSuccess)
		return nil
	}
	return judge(answer, c, d)
}

// withoutURL returns an error without the address, whose query may have a secret.
func withoutURL(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		// Who runs the receiver may see it, and need not know which resolver is asked here.
		return &net.DNSError{Err: dns.Err, Name: dns.Name, IsTimeout: dns.IsTimeout, IsTemporary: dns.IsTemporary, IsNotFound: dns.IsNotFound}
	}
	var withURL *url.Error
	if errors.As(err, &withURL) {
		return withURL.Err
	}
	return err
}

// newTransport returns a transport of its own, so that targets do not take connections from each other. It keeps as
// many as there are attempts at once if one process has all partitions.
func newTransport(d delivery.Definition, g *guard) *http.Transport {
	return &http.Transport{
		DialContext:            g.dialer().DialContext,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		DisableCompression:     true,
		MaxIdleConnsPerHost:    d.MaxInFlight * d.Partitions,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
