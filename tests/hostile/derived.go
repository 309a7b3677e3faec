package hostile

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"

	"github.com/google/uuid"
)

var variable = regexp.MustCompile(`\{[^}]*\}`)

// derived returns the generator of a route that no model knows: calls are made of what the index says
// of it. They are about nothing that is there, and every answer in good order is right.
func derived(r indexRoute) func(*world) (call, bool) {
	return func(w *world) (call, bool) {
		c := call{route: r.Method + " " + r.Path, unmodelled: true, request: request{method: r.Method}}
		c.target = variable.ReplaceAllStringFunc(r.Path, func(string) string { return url.PathEscape(w.text()) })
		query := url.Values{}
		for _, name := range r.Parameters {
			if w.chance(3) {
				query.Set(name, w.text())
			}
		}
		c.target = withQuery(c.target, query.Encode())
		if len(r.Body) > 0 {
			c.tree = w.ofTypes(r.Body)
		}
		c.done = isThere
		return c, true
	}
}

// isThere checks that what the index has is there.
func isThere(a answer) error {
	if a.status < 400 {
		return nil
	}
	if p, err := readProblem(a); err != nil || p.Code == "route-not-found" || a.status == http.StatusMethodNotAllowed {
		return errors.Join(err, errors.New("the index has a route that is not there"))
	}
	return nil
}

// text returns something that a variable, a parameter or a member may be.
func (w *world) text() string {
	return pick(w, []string{w.id(), uuid.NewString(), "1", "0", "true", "2011-12-09T12:50:00Z", "a b", "Ω", "'--"})
}

// ofTypes returns an object with members of the types that the index says.
func (w *world) ofTypes(list []indexMember) *object {
	o := &object{}
	for _, m := range list {
		if w.chance(4) {
			continue
		}
		var value any
		switch m.Type {
		case "string":
			value = w.text()
		case "integer", "number":
			value = w.rng.Int64N(100)
		case "boolean":
			value = w.chance(2)
		case "array":
			items := &array{}
			for range w.rng.IntN(3) {
				items.items = append(items.items, w.ofTypes(m.Members))
			}
			value = items
		default:
			value = w.ofTypes(m.Members)
		}
		o.members = append(o.members, member{m.Name, value})
	}
	return o
}
