package webhook

import (
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/57528e99/recount/delivery"
)

// header is sent with each request.
type header struct {
	name  string
	value delivery.Secret
	// user, if it is set, makes the value basic authentication: the secret is the password.
	user string
}

// credentials are what a request is sent with.
type credentials struct {
	values []string // of Target.headers
	token  string
	// fresh says that the token was got for this request: there is no use in getting another.
	fresh bool
	// own are the secrets that a webhook brings to be signed with.
	own string
	// hidden is what must not be kept of an answer.
	hidden []string
}

// authenticate makes of the configuration what is sent with each request.
func (t *Target) authenticate() {
	add := func(name string, value delivery.Secret, user string) {
		t.headers = append(t.headers, &header{http.CanonicalHeaderKey(name), value, user})
	}
	for _, name := range slices.Sorted(maps.Keys(t.config.Headers)) {
		add(name, t.config.Headers[name], "")
	}
	switch auth := t.config.Auth; {
	case auth == nil:
	case auth.APIKey != nil:
		add(auth.APIKey.Header, auth.APIKey.Value, "")
	case auth.Basic != nil:
		add("Authorization", auth.Basic.Password, auth.Basic.User)
	case auth.OAuth != nil:
		t.tokens = newTokens(auth.OAuth, t.transport)
	}
}

// credentials looks up what to send. Refused are those that were answered 401: no token that is remembered is used again.
func (t *Target) credentials(ctx context.Context, refused *credentials) (*credentials, error) {
	c := &credentials{}
	for _, h := range t.headers {
		value, err := h.value.Read()
		if err != nil {
			return nil, err
		}
		if h.value.IsReference() || h.user != "" {
			c.hidden = append(c.hidden, value)
		}
		if h.user != "" {
			coded := base64.StdEncoding.EncodeToString([]byte(h.user + ":" + value))
			c.hidden = append(c.hidden, coded)
			value = "Basic " + coded
		}
		c.values = append(c.values, value)
	}
	if t.own != nil {
		var err error
		if c.own, err = t.own.Read(); err != nil {
			return nil, err
		}
		c.hidden = append(c.hidden, strings.Fields(c.own)...)
	}
	if t.tokens != nil {
		var err error
		if c.token, c.fresh, err = t.tokens.get(ctx, refused); err != nil {
			return nil, err
		}
		c.hidden = append(c.hidden, c.token)
	}
	return c, nil
}

// same reports whether others would be sent the same.
func (c *credentials) same(others *credentials) bool {
	return slices.Equal(c.values, others.values) && c.token == others.token && c.own == others.own
}
