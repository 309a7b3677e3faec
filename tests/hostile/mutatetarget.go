package hostile

import (
	"net/url"
	"strings"
)

// targetMutations are of method, path and query.
var targetMutations = []mutation{
	{"unknown parameter", addParameter("costumer", "1"), on(400, "invalid-parameter")},
	{"broken query", func(_ *world, c *call) bool {
		c.target = withQuery(c.target, "a=%zz")
		return !strings.HasPrefix(c.route, "GET /problems") && c.route != "GET /"
	}, on(400, "invalid-parameter")},
	{"parameter twice", func(_ *world, c *call) bool {
		path, query, ok := strings.Cut(c.target, "?")
		first, _, _ := strings.Cut(query, "&")
		c.target = path + "?" + query + "&" + first
		return ok
	}, on(400, "invalid-parameter")},
	{"bad limit", func(w *world, c *call) bool {
		if !strings.Contains(c.target, "limit=") {
			return false
		}
		return setParameter(c, "limit", pick(w, []string{"0", "-1", "10001", "1e1", "99999999999999999999", "", "ten", "１"}))
	}, on(400, "invalid-parameter")},
	{"bad cursor", func(w *world, c *call) bool {
		if !strings.Contains(c.target, "limit=") {
			return false
		}
		return setParameter(c, "after", pick(w, []string{"A", "bm90IGEgY3Vyc29y", "null", "=", "😀"}))
	}, on(400, "invalid-cursor")},
	{"cursor of another list", func(w *world, c *call) bool {
		if !strings.Contains(c.target, "limit=") || strings.Contains(c.target, "after=") || len(w.cursors) == 0 {
			return false
		}
		// One that belongs here by chance leads on in it.
		return setParameter(c, "after", pick(w, w.cursors))
	}, append(on(400, "invalid-cursor"), want{status: 200})},
	{"bad day", func(w *world, c *call) bool {
		return strings.HasPrefix(c.target, "/v1/sales") &&
			setParameter(c, "from", pick(w, []string{"2026-02-30", "today", "0001-01-01", "", "10000-01-01"}))
	}, on(400, "invalid-parameter")},
	{"bad sort", func(w *world, c *call) bool {
		return strings.HasPrefix(c.target, "/v1/sales") &&
			setParameter(c, "sort", pick(w, []string{"--units", "currency", "units;DROP TABLE", "UNITS", ""}))
	}, on(400, "invalid-parameter")},
	{"bad as_of", func(w *world, c *call) bool {
		return c.method == "GET" && (c.route == "GET /v1/orders/{id}" || c.route == "GET /v1/stock/{sku}") &&
			setParameter(c, "as_of", pick(w, []string{"0", "-1", "yesterday", "99999999999999999999", "2011-12-09T12:50:00 01:00", "9e1", "\x00", "9223372036854775807"}))
	}, on(400, "invalid-parameter", "as-of-ahead")},
	{"wrong method", func(w *world, c *call) bool {
		c.method = pick(w, []string{"PUT", "PATCH", "BREW", "post"})
		return true
	}, on(405, "method-not-allowed")},
	{"unknown path", func(w *world, c *call) bool {
		path, query, _ := strings.Cut(c.target, "?")
		path += pick(w, []string{"/", "/and/more/of/it", "//", "/../x", ";x"})
		c.target = withQuery(path, query)
		// Behind a variable a semicolon is a part of it.
		return !strings.HasSuffix(c.route, "}") && path != "//"
	}, on(404, "route-not-found")},
	{"empty variable", func(_ *world, c *call) bool {
		return setVariable(c, "")
	}, on(404, "route-not-found")},
	{"bad variable", func(w *world, c *call) bool {
		return setVariable(c, pick(w, []string{"%00", "a%0Ab", "%ff", "%C3%28", strings.Repeat("v", 513), "%7f"}))
	}, on(400, "invalid-path")},
	{"strange variable", func(w *world, c *call) bool {
		return setVariable(c, pick(w, []string{"a%2Fb", "%2e%2e", "%F0%9F%98%80", strings.Repeat("v", 512), "-", "%25", "'--"}))
	}, append(append(on(404, "not-found", "order-not-found", "projection-not-found", "operation-not-found"), on(422, "invalid-input")...),
		append(on(409, "stock-insufficient", "stock-not-reserved"), on(412, "precondition-failed")[0], want{status: 200})...)}, // some are fine codes of articles
}

func addParameter(name, value string) func(*world, *call) bool {
	return func(_ *world, c *call) bool {
		if strings.HasPrefix(c.route, "GET /problems") || c.route == "GET /" {
			return false // pages take no notice of them
		}
		c.target = withQuery(c.target, name+"="+value)
		return true
	}
}

func withQuery(target, more string) string {
	switch {
	case more == "":
		return target
	case strings.Contains(target, "?"):
		return target + "&" + more
	}
	return target + "?" + more
}

func setParameter(c *call, name, value string) bool {
	path, text, _ := strings.Cut(c.target, "?")
	query, err := url.ParseQuery(text)
	if err != nil {
		return false
	}
	query.Set(name, value)
	c.target = path + "?" + query.Encode()
	return true
}

// setVariable puts another text, as it is, where the route has a variable.
func setVariable(c *call, value string) bool {
	_, template, _ := strings.Cut(c.route, " ")
	path, query, _ := strings.Cut(c.target, "?")
	parts, names := strings.Split(path, "/"), strings.Split(template, "/")
	if len(parts) != len(names) {
		return false
	}
	for i, name := range names {
		if strings.HasPrefix(name, "{") {
			parts[i] = value
			c.target = withQuery(strings.Join(parts, "/"), query)
			return true
		}
	}
	return false
}
