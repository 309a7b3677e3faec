package onlineretail

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	httpclient "github.com/57528e99/recount/httpapi/client"
)

const (
	// attemptTimeout is longer than a server works on one request.
	attemptTimeout = 45 * time.Second
	// firstPatience is how long to try a server that has never answered: most
	// likely there is none.
	firstPatience = 10 * time.Second
	minBackoff    = 50 * time.Millisecond
	maxBackoff    = 5 * time.Second
)

// client sends requests until they are answered for good.
type client struct {
	http *http.Client
	base string
	// header goes with every request.
	header http.Header
	// patience is how long one request is retried.
	patience time.Duration

	mu       sync.Mutex
	answered bool
	retries  int64
	trouble  error
}

// request is one that may be repeated without harm.
type request struct {
	method string
	path   string
	// key is the Idempotency-Key of a command, empty for a read.
	key    string
	header http.Header
	body   []byte
}

func (q request) String() string {
	if q.key == "" {
		return q.method + " " + q.path
	}
	return q.method + " " + q.path + " (Idempotency-Key " + q.key + ")"
}

// answer is one that was read to its end.
type answer struct{ httpclient.Answer }

func newClient(c Config) *client {
	h := *c.Client
	// A redirect of a POST would become a GET. It is refused instead.
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{http: &h, base: c.Server, header: c.Header, patience: c.RetryFor}
}

// do returns the answer of success. Whatever may pass is retried until the
// patience is at an end (*GaveUpError); any other answer is a *RefusedError. If
// ctx is done its cause is returned, and the request may have been carried out.
func (c *client) do(ctx context.Context, q request) (answer, error) {
	begun := time.Now()
	for attempt := 1; ; attempt++ {
		a, err := c.attempt(ctx, q)
		if err == nil && a.Status/100 == 2 {
			return a, nil
		}
		if ctx.Err() != nil {
			return answer{}, context.Cause(ctx)
		}
		if err == nil {
			err = refused(q, a)
			if !a.passing() {
				return answer{}, err
			}
		}
		wait := max(backoff(attempt), a.retryAfter(time.Now()))
		spent := time.Since(begun)
		if spent+wait > c.note(err) {
			return answer{}, &GaveUpError{Request: q.String(), Attempts: attempt, After: spent, Err: err}
		}
		// Those that failed together do not come back together.
		if err := sleep(ctx, wait+rand.N(wait/2)); err != nil {
			return answer{}, err
		}
	}
}

func (c *client) attempt(ctx context.Context, q request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	sent := httpclient.Request{Method: q.method, URL: c.base + q.path, Header: make(http.Header), Body: q.body}
	maps.Copy(sent.Header, c.header)
	maps.Copy(sent.Header, q.header)
	if q.key != "" {
		sent.Header.Set("Idempotency-Key", `"`+q.key+`"`)
	}
	a, err := httpclient.Do(ctx, c.http, sent)
	if err != nil {
		return answer{}, err
	}
	c.mu.Lock()
	c.answered = true
	c.mu.Unlock()
	return answer{a}, nil
}

// note counts a retry and returns how long the request may take in all.
func (c *client) note(trouble error) (patience time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retries++
	c.trouble = trouble
	if !c.answered {
		return min(c.patience, firstPatience)
	}
	return c.patience
}

// passing reports whether the same request may succeed later.
func (a answer) passing() bool {
	switch a.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusConflict:
		// Somebody else was faster, or the first request with this key is still
		// running. The conflicts that stay name no time.
		return a.Header.Get("Retry-After") != ""
	}
	return false
}

// retryAfter is how long the server wants to be left alone.
func (a answer) retryAfter(now time.Time) time.Duration {
	value := a.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return at.Sub(now)
	}
	return 0
}

// backoff doubles with every attempt, the first of which is 1.
func backoff(attempt int) time.Duration {
	return min(minBackoff<<min(attempt-1, 16), maxBackoff)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// refused reads the problem that the server answers with (RFC 9457).
func refused(q request, a answer) *RefusedError {
	e := &RefusedError{Request: q.String(), Status: a.Status, Replayed: isReplay(a)}
	// What is no problem is from something between us and the server.
	if json.Unmarshal(a.Body, &e.Problem) != nil || e.Problem.Title == "" {
		e.Problem = Problem{Title: http.StatusText(a.Status), Detail: fmt.Sprintf("%.200q", a.Body)}
	}
	return e
}

// isReplay reports whether the answer is that of an earlier request with the key.
func isReplay(a answer) bool { return a.Header.Get("Idempotency-Replayed") == "true" }

// troubles returns how many requests had to be sent again, and why the last one.
func (c *client) troubles() (retries int64, last error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.retries, c.trouble
}
