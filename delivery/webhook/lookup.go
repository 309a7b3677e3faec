package webhook

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

// lookup asks for what is to be beside events.
type lookup struct{ *Target }

// NewLookup returns what asks for an enrichment, which must be one of a definition that was checked. Requests connect to what those of New do, with
// the same credentials; redirects are not followed. An answer has at most MaxAnswer bytes.
func NewLookup(c delivery.EnrichHTTP, allow []netip.Prefix) (delivery.Asker, error) {
	t := &Target{config: &delivery.HTTPTarget{Method: http.MethodGet, Headers: c.Headers, Auth: c.Auth, Timeout: c.Timeout}}
	t.transport = newTransport(delivery.Definition{MaxInFlight: 16, Partitions: 4}, &guard{allowed: allow})
	t.authenticate()
	return lookup{t}, nil
}

// Get implements delivery.Asker.
func (l lookup) Get(ctx context.Context, from *url.URL) (body []byte, err error) {
	m := &message{header: make(http.Header, 4), url: from, takes: func(r *http.Response) error {
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, MaxAnswer+1)); err != nil {
			return fmt.Errorf("the answer %d breaks off: %w", r.StatusCode, err)
		}
		if len(body) > MaxAnswer {
			return &delivery.ResponseError{Status: r.StatusCode, Detail: fmt.Sprintf("its body has more than %d bytes", MaxAnswer)}
		}
		return nil
	}}
	m.set("User-Agent", "recount")
	m.set("Accept", eventstore.ContentTypeJSON)
	if err := l.attempt(ctx, m, new(delivery.Delivery)); err != nil {
		return nil, err
	}
	return body, nil
}
