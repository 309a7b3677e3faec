package webhook

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

// MaxAnswer is how many bytes the answer of Ask may have.
const MaxAnswer = readAnswer

// Ask sends a request of somebody else's instead of an event: Body is JSON, and key, the Idempotency-Key, is the same whenever the
// same is asked again. It returns the body of an answer that says that all is well (2xx). Address, credentials, signature, time-out and the
// meaning of errors are those of Deliver, see delivery.OutcomeOf; an answer that says that all is well and cannot be read is a permanent
// *delivery.ResponseError with its status.
func (t *Target) Ask(ctx context.Context, key string, body []byte) (answer []byte, err error) {
	if err := t.waitForTurn(ctx); err != nil {
		return nil, err
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' || r == '%' }) {
		key = url.PathEscape(key) // it is a header
	}
	m := &message{header: make(http.Header, 8), body: body, id: key, takes: func(r *http.Response) error {
		var err error
		if answer, err = io.ReadAll(io.LimitReader(r.Body, MaxAnswer+1)); err != nil {
			return fmt.Errorf("the answer %d breaks off: %w", r.StatusCode, err)
		}
		if len(answer) > MaxAnswer {
			return delivery.Permanent(&delivery.ResponseError{Status: r.StatusCode, Detail: fmt.Sprintf("its body has more than %d bytes", MaxAnswer)})
		}
		return nil
	}}
	m.set("User-Agent", "recount")
	m.set("Content-Type", eventstore.ContentTypeJSON)
	m.set("Accept", eventstore.ContentTypeJSON)
	m.set("Idempotency-Key", `"`+key+`"`)
	if err := t.attempt(ctx, m, new(delivery.Delivery)); err != nil {
		return nil, err
	}
	return answer, nil
}
