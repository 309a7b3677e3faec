// Package client sends a request to an HTTP API and reads its answer to the end. It is below
// everything else of httpapi, so that programs that only ask need no server.
package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
)

// maxAnswer bounds what is read of a body, in bytes.
const maxAnswer = 64 << 20

// Request is a request that can be sent again.
type Request struct {
	Method, URL string
	Header      http.Header
	// Body is JSON unless Header has another Content-Type; nil: there is none.
	Body []byte
}

// Answer is an answer that was read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request with c and reads the answer, whatever its status. Only a connection whose
// answer was read to its end is used again.
func Do(ctx context.Context, c *http.Client, q Request) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, q.Method, q.URL, bytes.NewReader(q.Body))
	if err != nil {
		return Answer{}, err
	}
	if q.Body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(r.Header, q.Header)
	resp, err := c.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		err = fmt.Errorf("read the answer to %s %s: %w", q.Method, q.URL, err)
	}
	return Answer{resp.StatusCode, resp.Header, body}, err
}

// Get is Do for a document, whose answer is an error unless its status is 200.
func Get(ctx context.Context, c *http.Client, url string) (Answer, error) {
	a, err := Do(ctx, c, Request{Method: http.MethodGet, URL: url})
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("the answer to GET %s is %d %.300s", url, a.Status, a.Body)
	}
	return a, err
}
