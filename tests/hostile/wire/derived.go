package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/google/uuid"
)

// IndexRoute is a line of what GET / answers.
type IndexRoute struct {
	Method     string        `json:"method"`
	Path       string        `json:"path"`
	Parameters []string      `json:"parameters"`
	Body       []indexMember `json:"body"`
}

type indexMember struct {
	Name    string        `json:"name"`
	Type    string        `json:"type"`
	Members []indexMember `json:"members"`
}

// Name is the route as Call has it.
func (r IndexRoute) Name() string { return r.Method + " " + r.Path }

// Takes returns the parameters and the members that the route takes, those of members behind a
// slash.
func (r IndexRoute) Takes() []string { return append(r.Parameters, memberNames("", r.Body)...) }

func memberNames(within string, list []indexMember) (names []string) {
	for _, m := range list {
		names = append(append(names, within+m.Name), memberNames(within+m.Name+"/", m.Members)...)
	}
	return names
}

// Index asks the server for its routes. It is to be called before the workers begin.
func (w *Worker) Index(ctx context.Context) ([]IndexRoute, error) {
	a, err := w.Link.Do(ctx, Request{Method: "GET", Target: "/"})
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	var index struct {
		Routes []IndexRoute `json:"routes"`
	}
	if err := json.Unmarshal(a.Body, &index); err != nil {
		return nil, fmt.Errorf("read the index: %w in %s", err, Cut(a.Body))
	}
	get, post := "/", "/"
	for _, r := range index.Routes {
		path := variable.ReplaceAllString(r.Path, "none")
		switch {
		case r.Method == http.MethodPost && (path == r.Path || post == "/"):
			post = path
		case r.Method == http.MethodGet && path == r.Path && len(r.Parameters) > 0:
			get = path
		}
	}
	w.paths = strings.NewReplacer("{get}", get, "{post}", post)
	return index.Routes, nil
}

var variable = regexp.MustCompile(`\{[^}]*\}`)

// Call returns a call of the route, made of what the index says of it. It is about nothing that is
// there, unless there is nothing to choose, and every answer in good order is right.
func (r IndexRoute) Call(l *Luck) Call {
	c := Call{Route: r.Name(), Parameters: r.Parameters, Request: Request{Method: r.Method, Target: r.Path}}
	if r.Method == http.MethodGet && !strings.Contains(r.Path, "{") {
		return c.WantOK()
	}
	c.Unmodelled = true
	c.Target = variable.ReplaceAllStringFunc(r.Path, func(string) string { return url.PathEscape(l.text()) })
	query := url.Values{}
	for _, name := range r.Parameters {
		if l.Chance(3) {
			query.Set(name, l.text())
		}
	}
	c.Target = withQuery(c.Target, query.Encode())
	if len(r.Body) > 0 {
		c.Tree = l.ofTypes(r.Body)
	}
	c.Done = isThere
	return c
}

// isThere checks that what the index has is there.
func isThere(a Answer) error {
	if a.Status < 400 {
		return nil
	}
	if p, err := ReadProblem(a); err != nil || p.Code == "route-not-found" || a.Status == http.StatusMethodNotAllowed {
		return errors.Join(err, errors.New("the index has a route that is not there"))
	}
	return nil
}

// text returns something that a variable, a parameter or a member may be.
func (l *Luck) text() string {
	return Pick(l, []string{l.ID(), uuid.NewString(), "1", "0", "true", "2011-12-09T12:50:00Z", "a b", "Ω", "'--"})
}

// ofTypes returns an object with members of the types that the index says.
func (l *Luck) ofTypes(list []indexMember) *Object {
	o := &Object{}
	for _, m := range list {
		if l.Chance(4) {
			continue
		}
		var value any
		switch m.Type {
		case "string":
			value = l.text()
		case "integer", "number":
			value = l.Rng.Int64N(100)
		case "boolean":
			value = l.Chance(2)
		case "array":
			items := &Array{}
			for range l.Rng.IntN(3) {
				items.Items = append(items.Items, l.ofTypes(m.Members))
			}
			value = items
		default:
			value = l.ofTypes(m.Members)
		}
		o.members = append(o.members, member{m.Name, value})
	}
	return o
}
