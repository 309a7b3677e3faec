package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/internal/cloudevents"
	"github.com/57528e99/recount/eventstore"
)

// tokens gets access tokens by the client credentials grant of RFC 6749, section 4.4, and keeps the last.
type tokens struct {
	config    *delivery.OAuthAuth
	transport http.RoundTripper

	// turn is held by the one who gets a token, and who looks at what follows. Others wait for it as long as their
	// contexts last.
	turn    chan struct{}
	token   string
	renewAt time.Time // zero: when it is refused
}

func newTokens(c *delivery.OAuthAuth, transport http.RoundTripper) *tokens {
	return &tokens{config: c, transport: transport, turn: make(chan struct{}, 1)}
}

// get returns a token, and whether it was got for this call. One that was refused is not returned again, unless it
// was got for the request that was refused.
func (t *tokens) get(ctx context.Context, refused *credentials) (token string, fresh bool, err error) {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return "", false, ctx.Err()
	}
	defer func() { <-t.turn }()
	valid := t.token != "" && (t.renewAt.IsZero() || time.Now().Before(t.renewAt))
	if valid && (refused == nil || refused.fresh || refused.token != t.token) {
		return t.token, false, nil
	}
	t.token = ""
	token, lifetime, err := t.request(ctx)
	if err != nil {
		return "", false, fmt.Errorf("get an OAuth token: %w", err)
	}
	t.token, t.renewAt = token, time.Time{}
	if lifetime > 0 {
		t.renewAt = time.Now().Add(lifetime - min(lifetime/10, 30*time.Second))
	}
	return token, true, nil
}

// request asks for a token, and returns how long it is good for, 0 if that is not told. Of what the server answers
// only its error code goes into an error.
func (t *tokens) request(ctx context.Context) (string, time.Duration, error) {
	address, err := url.Parse(t.config.TokenURL)
	if err != nil {
		return "", 0, withoutURL(err)
	}
	clientSecret, err := t.config.ClientSecret.Read()
	if err != nil {
		return "", 0, err
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(t.config.Scopes) > 0 {
		form.Set("scope", strings.Join(t.config.Scopes, " "))
	}
	body := []byte(form.Encode())
	r := &http.Request{
		Method: http.MethodPost, URL: address, Host: address.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {eventstore.ContentTypeJSON}, "User-Agent": {"recount"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}
	// RFC 6749, section 2.3.1: both are encoded before they are put together.
	r.SetBasicAuth(url.QueryEscape(t.config.ClientID), url.QueryEscape(clientSecret))
	res, err := t.transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return "", 0, withoutURL(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", 0, err
	}
	var answer struct {
		AccessToken string          `json:"access_token"`
		TokenType   string          `json:"token_type"`
		ExpiresIn   json.RawMessage `json:"expires_in"`
		Error       string          `json:"error"`
	}
	err = json.Unmarshal(text, &answer)
	switch {
	case res.StatusCode != http.StatusOK:
		return "", 0, fmt.Errorf("the token endpoint answers %d %s%s", res.StatusCode, http.StatusText(res.StatusCode), errorCode(answer.Error))
	case err != nil:
		return "", 0, errors.New("the token endpoint answers what is no JSON object with an access_token")
	case answer.AccessToken == "" || !cloudevents.IsFieldValue(answer.AccessToken):
		return "", 0, errors.New("the token endpoint answers no access_token that can be sent")
	case answer.TokenType != "" && !strings.EqualFold(answer.TokenType, "bearer"):
		return "", 0, errors.New("the token endpoint answers a token that is no bearer token")
	}
	// Some servers write the number as text.
	seconds, err := strconv.ParseFloat(strings.Trim(string(answer.ExpiresIn), `"`), 64)
	if err != nil || seconds <= 0 {
		return answer.AccessToken, 0, nil
	}
	return answer.AccessToken, time.Duration(min(seconds, 1e9) * float64(time.Second)), nil
}

// errorCode returns what RFC 6749, section 5.2, has for a code to be told.
func errorCode(code string) string {
	known := []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}
	for _, k := range known {
		if code == k {
			return ": " + k
		}
	}
	return ""
}
