package hostile

import (
	"net/http"
	"strings"
)

// headerMutations are of the headers.
var headerMutations = []mutation{
	{"header twice that may be given once", func(_ *world, c *call) bool {
		if !isCommand(c) {
			return false
		}
		c.set("X-Correlation-Id", "a")
		c.set("X-Correlation-Id", "b")
		return true
	}, on(400, "invalid-header")},
	{"bad If-Match", func(w *world, c *call) bool {
		_, match := c.get("If-Match")
		_, none := c.get("If-None-Match")
		if !isCommand(c) || match || none {
			return false
		}
		c.set("If-Match", pick(w, []string{`W/"0"`, `0`, `"x"`, `"-1"`, `"0", "1"`, `"`, `"00"`, `"99999999999999999999"`}))
		return true
	}, on(400, "invalid-header")},
	{"bad Idempotency-Key", func(w *world, c *call) bool {
		if _, ok := c.get("Idempotency-Key"); ok || !isCommand(c) {
			return false
		}
		c.set("Idempotency-Key", pick(w, []string{"", `"`, `"a`, "a b", "a,b", "ключ", strings.Repeat("k", 256), `"a\b"`}))
		return true
	}, on(400, "invalid-idempotency-key")},
	{"bad correlation id", func(w *world, c *call) bool {
		if !isCommand(c) {
			return false
		}
		c.set("X-Correlation-Id", pick(w, []string{"", strings.Repeat("c", 256), "tab\there", "\xff"}))
		return true
	}, on(400, "invalid-header")},
	{"wrong Content-Type", func(w *world, c *call) bool {
		if !hasBody(c) {
			return false
		}
		c.set("Content-Type", pick(w, []string{"", "text/plain", "application/json; charset=latin1", "application/jsonx", "application/json; ;=", "multipart/form-data"}))
		return true
	}, on(415, "unsupported-media-type")},
	{"compressed", func(_ *world, c *call) bool {
		c.set("Content-Encoding", "gzip")
		return hasBody(c)
	}, on(415, "unsupported-media-type")},
	{"from another site", func(_ *world, c *call) bool {
		c.set("Sec-Fetch-Site", "cross-site")
		return c.method == "POST"
	}, on(403, "cross-origin")},
	{"garbage for a token", func(w *world, c *call) bool {
		if _, ok := c.get("Consistency-Token"); ok || c.method != "GET" || strings.Contains(c.target, "consistency=") || !strings.Contains(c.route, "/v1/") {
			return false
		}
		c.set("Consistency-Token", pick(w, []string{"A", "AQAA", "....", strings.Repeat("A", 3000)}))
		return true
	}, on(400, "invalid-token")},
	{"token of another log", func(_ *world, c *call) bool {
		if _, ok := c.get("Consistency-Token"); ok || c.method != "GET" || strings.Contains(c.target, "consistency=") || !readsModel(c) {
			return false
		}
		c.set("Consistency-Token", "AQECAwQFBgcICQoLDA0ODxABAQ") // log 01020304-…, incarnation 1, position 1
		return true
	}, on(409, "log-changed")},
	{"unknown headers", func(_ *world, c *call) bool {
		c.set("X-Unknown", strings.Repeat("x", 4000))
		c.set("accept-encoding", "gzip;q=0.5, zstd, *")
		c.set("Traceparent", "00-zz")
		c.set("X-Request-Id", "no id \xff")
		c.set("Cookie", "a=b; c")
		return true
	}, nil},
	{"charset", func(_ *world, c *call) bool {
		c.set("content-type", `application/json ;CHARSET="UTF-8"`)
		return hasBody(c)
	}, nil},
	{"in chunks", func(_ *world, c *call) bool {
		c.chunked = true
		return hasBody(c)
	}, nil},
}

// readsModel reports whether a call reads a read model as it is now.
func readsModel(c *call) bool {
	for _, path := range []string{"/v1/orders", "/v1/stock", "/v1/customers", "/v1/sales"} {
		if strings.HasPrefix(c.target, path) {
			return !c.unmodelled && !strings.Contains(c.target, "as_of=") && c.wants[0].status == http.StatusOK
		}
	}
	return false
}
