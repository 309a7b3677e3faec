package wire

import (
	"net/url"
	"strings"
)

// targetMutations are of method, path and query.
var targetMutations = []mutation{
	{"unknown parameter", addParameter("costumer", "1"), on(400, "invalid-parameter")},
	{"broken query", func(_ *Luck, c *Call) bool {
		c.Target = withQuery(c.Target, "a=%zz")
		return !strings.HasPrefix(c.Route, "GET /problems") && c.Route != "GET /"
	}, on(400, "invalid-parameter")},
	{"parameter twice", func(_ *Luck, c *Call) bool {
		path, query, ok := strings.Cut(c.Target, "?")
		first, _, _ := strings.Cut(query, "&")
		c.Target = path + "?" + query + "&" + first
		return ok
	}, on(400, "invalid-parameter")},
	{"bad limit", func(l *Luck, c *Call) bool {
		if !strings.Contains(c.Target, "limit=") {
			return false
		}
		return setParameter(c, "limit", Pick(l, []string{"0", "-1", "10001", "1e1", "99999999999999999999", "", "ten", "１"}))
	}, on(400, "invalid-parameter")},
	{"bad cursor", func(l *Luck, c *Call) bool {
		if !strings.Contains(c.Target, "limit=") {
			return false
		}
		return setParameter(c, "after", Pick(l, []string{"A", "bm90IGEgY3Vyc29y", "null", "=", "😀"}))
	}, on(400, "invalid-cursor")},
	{"cursor of another list", func(l *Luck, c *Call) bool {
		if !strings.Contains(c.Target, "limit=") || strings.Contains(c.Target, "after=") || len(l.cursors) == 0 {
			return false
		}
		// One that belongs here by chance leads on in it.
		return setParameter(c, "after", Pick(l, l.cursors))
	}, append(on(400, "invalid-cursor"), Want{Status: 200})},
	{"bad day", func(l *Luck, c *Call) bool {
		return c.takes("from") &&
			setParameter(c, "from", Pick(l, []string{"2026-02-30", "today", "0001-01-01", "", "10000-01-01"}))
	}, on(400, "invalid-parameter")},
	{"bad sort", func(l *Luck, c *Call) bool {
		return c.takes("sort") &&
			setParameter(c, "sort", Pick(l, []string{"--units", "currency", "units;DROP TABLE", "UNITS", ""}))
	}, on(400, "invalid-parameter")},
	{"bad as_of", func(l *Luck, c *Call) bool {
		return c.Method == "GET" && c.takes("as_of") &&
			setParameter(c, "as_of", Pick(l, []string{"0", "-1", "yesterday", "99999999999999999999", "2011-12-09T12:50:00 01:00", "9e1", "\x00", "9223372036854775807"}))
	}, on(400, "invalid-parameter", "as-of-ahead")},
	{"wrong method", func(l *Luck, c *Call) bool {
		c.Method = Pick(l, []string{"PUT", "PATCH", "BREW", "post"})
		return true
	}, on(405, "method-not-allowed")},
	{"unknown path", func(l *Luck, c *Call) bool {
		path, query, _ := strings.Cut(c.Target, "?")
		path += Pick(l, []string{"/", "/and/more/of/it", "//", "/../and/more/of/it", ";x"})
		c.Target = withQuery(path, query)
		// Behind a variable a semicolon is a part of it.
		return !strings.HasSuffix(c.Route, "}") && path != "//"
	}, on(404, "route-not-found")},
	{"empty variable", func(_ *Luck, c *Call) bool {
		return setVariable(c, "")
	}, on(404, "route-not-found")},
	{"bad variable", func(l *Luck, c *Call) bool {
		return setVariable(c, Pick(l, []string{"%00", "a%0Ab", "%ff", "%C3%28", strings.Repeat("v", 513), "%7f"}))
	}, on(400, "invalid-path")},
	{"strange variable", func(l *Luck, c *Call) bool {
		return setVariable(c, Pick(l, []string{"a%2Fb", "%2e%2e", "%F0%9F%98%80", strings.Repeat("v", 512), "-", "%25", "'--"}))
	}, append(append(on(404, "not-found", "order-not-found", "projection-not-found", "operation-not-found"), on(422, "invalid-input")...),
		append(on(409, "stock-insufficient", "stock-not-reserved"), on(412, "precondition-failed")[0], Want{Status: 200})...)}, // some are fine codes of articles
}

func addParameter(name, value string) func(*Luck, *Call) bool {
	return func(_ *Luck, c *Call) bool {
		if strings.HasPrefix(c.Route, "GET /problems") || c.Route == "GET /" {
			return false // pages take no notice of them
		}
		c.Target = withQuery(c.Target, name+"="+value)
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

func setParameter(c *Call, name, value string) bool {
	path, text, _ := strings.Cut(c.Target, "?")
	query, err := url.ParseQuery(text)
	if err != nil {
		return false
	}
	query.Set(name, value)
	c.Target = path + "?" + query.Encode()
	return true
}

// setVariable puts another text, as it is, where the route has a variable.
func setVariable(c *Call, value string) bool {
	_, template, _ := strings.Cut(c.Route, " ")
	path, query, _ := strings.Cut(c.Target, "?")
	parts, names := strings.Split(path, "/"), strings.Split(template, "/")
	if len(parts) != len(names) {
		return false
	}
	for i, name := range names {
		if strings.HasPrefix(name, "{") {
			parts[i] = value
			c.Target = withQuery(strings.Join(parts, "/"), query)
			return true
		}
	}
	return false
}
