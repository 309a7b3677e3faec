package delivery

import (
	"strings"
	"time"
)

// RecountTarget sends events to another Recount, whose Acceptor appends them.
type RecountTarget struct {
	// URL is where its API is, such as https://berlin.example.com. Required.
	URL string `json:"url"`
	// Token is what it knows this one by. Required.
	Token Secret `json:"token"`
	// Timeout bounds an attempt, from 100 ms to 15 minutes. Default: 10 s.
	Timeout Duration `json:"timeout"`
	// RateLimit is that of HTTPTarget.
	RateLimit float64 `json:"rate_limit,omitzero"`
}

// KindRecount is that of RecountTarget.
const KindRecount = "recount"

// AcceptPath is where the API of a Recount takes events of others.
const AcceptPath = "/v1/accept"

// Requests returns the requests that it sends, but for how events are written.
func (t *RecountTarget) Requests() *HTTPTarget {
	return &HTTPTarget{
		URL: strings.TrimSuffix(t.URL, "/") + AcceptPath, Method: "POST", Format: FormatEvent, Timeout: t.Timeout, RateLimit: t.RateLimit,
		Auth: &HTTPAuth{APIKey: &APIKeyAuth{Header: TokenHeader, Value: t.Token}},
	}
}

// TokenHeader is the header that has the token.
const TokenHeader = "Recount-Token"

func (c *checker) recount(at string, t *RecountTarget) {
	c.url(at+"url", t.URL)
	if strings.Contains(t.URL, "?") {
		c.wrong(at+"url", "must have no query: it is where an API is")
	}
	c.secret(at+"token", t.Token)
	c.duration(at+"timeout", &t.Timeout, 10*time.Second, 100*time.Millisecond, 15*time.Minute)
	if !(t.RateLimit >= 0 && t.RateLimit <= 1e6) {
		c.wrong(at+"rate_limit", "must be from 0 (no limit) to 1000000 requests a second, it is %v", t.RateLimit)
	}
}
