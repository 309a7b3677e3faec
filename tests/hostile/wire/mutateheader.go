package wire

import (
	"net/http"
	"strings"
)

// headerMutations are of the headers.
var headerMutations = []mutation{
	{"header twice that may be given once", func(_ *Luck, c *Call) bool {
		if !IsCommand(c) {
			return false
		}
		c.Set("X-Correlation-Id", "a")
		c.Set("X-Correlation-Id", "b")
		return true
	}, on(400, "invalid-header")},
	{"bad If-Match", func(l *Luck, c *Call) bool {
		_, match := c.Get("If-Match")
		_, none := c.Get("If-None-Match")
		if !IsCommand(c) || match || none {
			return false
		}
		c.Set("If-Match", Pick(l, []string{`W/"0"`, `0`, `"x"`, `"-1"`, `"0", "1"`, `"`, `"00"`, `"99999999999999999999"`}))
		return true
	}, on(400, "invalid-header")},
	{"bad Idempotency-Key", func(l *Luck, c *Call) bool {
		if _, ok := c.Get("Idempotency-Key"); ok || !IsCommand(c) {
			return false
		}
		c.Set("Idempotency-Key", Pick(l, []string{"", `"`, `"a`, "a b", "a,b", "ключ", strings.Repeat("k", 256), `"a\b"`}))
		return true
	}, on(400, "invalid-idempotency-key")},
	{"bad correlation id", func(l *Luck, c *Call) bool {
		if !IsCommand(c) {
			return false
		}
		c.Set("X-Correlation-Id", Pick(l, []string{"", strings.Repeat("c", 256), "tab\there", "\xff"}))
		return true
	}, on(400, "invalid-header")},
	{"wrong Content-Type", func(l *Luck, c *Call) bool {
		if !hasBody(c) {
			return false
		}
		c.Set("Content-Type", Pick(l, []string{"", "text/plain", "application/json; charset=latin1", "application/jsonx", "application/json; ;=", "multipart/form-data"}))
		return true
	}, on(415, "unsupported-media-type")},
	{"compressed", func(_ *Luck, c *Call) bool {
		c.Set("Content-Encoding", "gzip")
		return hasBody(c)
	}, on(415, "unsupported-media-type")},
	{"from another site", func(_ *Luck, c *Call) bool {
		c.Set("Sec-Fetch-Site", "cross-site")
		return c.Method == "POST"
	}, on(403, "cross-origin")},
	{"garbage for a token", func(l *Luck, c *Call) bool {
		if _, ok := c.Get("Consistency-Token"); ok || c.Method != "GET" || strings.Contains(c.Target, "consistency=") || !c.takes("consistency") {
			return false
		}
		c.Set("Consistency-Token", Pick(l, []string{"A", "AQAA", "....", strings.Repeat("A", 3000)}))
		return true
	}, on(400, "invalid-token")},
	{"token of another log", func(_ *Luck, c *Call) bool {
		if _, ok := c.Get("Consistency-Token"); ok || c.Method != "GET" || strings.Contains(c.Target, "consistency=") || !readsModel(c) {
			return false
		}
		c.Set("Consistency-Token", "AQECAwQFBgcICQoLDA0ODxABAQ") // log 01020304-…, incarnation 1, position 1
		return true
	}, on(409, "log-changed")},
	{"unknown headers", func(_ *Luck, c *Call) bool {
		c.Set("X-Unknown", strings.Repeat("x", 4000))
		c.Set("accept-encoding", "gzip;q=0.5, zstd, *")
		c.Set("Traceparent", "00-zz")
		c.Set("X-Request-Id", "no id \xff")
		c.Set("Cookie", "a=b; c")
		return true
	}, nil},
	{"charset", func(_ *Luck, c *Call) bool {
		c.Set("content-type", `application/json ;CHARSET="UTF-8"`)
		return hasBody(c)
	}, nil},
	{"in chunks", func(_ *Luck, c *Call) bool {
		c.Chunked = true
		return hasBody(c)
	}, nil},
}

// readsModel reports whether a call reads a read model as it is now. What is about read models
// themselves has no place in the log to wait for.
func readsModel(c *Call) bool {
	return c.takes("consistency") && !c.Unmodelled && !c.isOfEngine() && !strings.Contains(c.Target, "as_of=") &&
		c.Wants[0].Status == http.StatusOK
}
