package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/queries"
)

// ReadRequest is a read as a handler gets it.
type ReadRequest[P any] struct {
	// Params are the query parameters.
	Params P
	// Token is the consistency token to wait for; zero if there is none.
	Token eventstore.Token
	// Wait is how long to wait for it. Reads of package queries know it from the
	// context.
	Wait time.Duration
	// Actor is who sends the request, as Config.Actor says, and Caller what they may do.
	Actor  string
	Caller Caller
	// Header has the headers of the request.
	Header http.Header

	vars pathVars
}

// Path returns a variable part of the path, decoded: 1 to 512 bytes of UTF-8
// without control characters.
func (r ReadRequest[P]) Path(name string) string { return r.vars[name] }

// ScanPath reads a variable part of the path into what into points to, as
// Params.Scan does a parameter. Its error is the problem to answer with.
func (r ReadRequest[P]) ScanPath(name string, into any) error {
	if fault := scanText(r.Path(name), into); fault != "" {
		return r.Invalid(name, fault)
	}
	return nil
}

// Invalid is the problem of a variable part of the path, or of a parameter, that
// is wrong. Detail says what it must be.
func (r ReadRequest[P]) Invalid(name, detail string) *Problem {
	if _, ok := r.vars[name]; ok {
		return invalidPath(name, "the path", detail)
	}
	return kindInvalidParameter.Problem(name+" "+detail+".").withParameter(name, detail)
}

// Versioned is implemented by answers that are the state of one stream at one
// version, and nothing else. Their ETag is the one that commands on the stream
// answer with, so it can be sent back in If-Match. Other answers have a weak
// ETag of their bytes.
type Versioned interface{ StreamVersion() int64 }

// Raw is implemented by answers that write their JSON themselves, for what must come back byte for byte as it was sent.
type Raw interface {
	// AppendJSON appends the answer. It must be valid JSON in one value.
	AppendJSON(to []byte) []byte
}

// Read registers a route that answers with JSON of T, or a Page. Parse takes
// the query parameters; use NoParams if there are none. The parameter
// consistency and the headers Consistency-Token, Prefer and If-None-Match are
// taken care of. Parse is called without any too, and with each of the values that
// it offers for one, to know what there are.
func Read[P, T any](a *API, path string, parse func(*Params) P, handle func(context.Context, ReadRequest[P]) (T, error)) {
	r := Route{Method: http.MethodGet, Path: path, Sort: SortRead, Answers: []Answer{jsonAnswer[T](http.StatusOK)}}
	r.Parameters = append(parametersOf(func(p *Params) { parse(p) }), Parameter{Name: "consistency", Type: "string", MaxBytes: maxParamBytes})
	a.handle(r, func(x *exchange) error {
		in := ReadRequest[P]{Actor: x.actor, Caller: x.caller, Header: x.r.Header}
		params := newParams(x.r.URL.RawQuery)
		in.Params = parse(params)
		c, err := x.readConditions(params)
		if err != nil {
			return err
		}
		in.Token, in.Wait, in.vars = c.token, c.wait, c.vars
		ctx, cancel := context.WithTimeout(x.r.Context(), a.config.Timeout)
		defer cancel()

		answer, err := handle(queries.WithWait(ctx, in.Wait), in)
		if c.lenient && errors.Is(err, queries.ErrBehind) {
			c.applied = append(c.applied, "handling=lenient")
			in.Token, in.Wait = eventstore.Token{}, 0
			answer, err = handle(queries.WithWait(ctx, in.Wait), in)
		}
		if err != nil {
			return err
		}
		if len(c.applied) > 0 {
			x.w.Header().Set("Preference-Applied", strings.Join(c.applied, ", "))
		}
		return x.writeRead(answer)
	})
}

// readConditions are what goes with every read.
type readConditions struct {
	vars    pathVars
	token   eventstore.Token
	wait    time.Duration
	lenient bool
	// applied are the preferences that the answer was made with.
	applied []string
}

func (x *exchange) readConditions(params *Params) (c readConditions, err error) {
	text := params.Text("consistency")
	if err := params.err(); err != nil {
		return c, err
	}
	if c.vars, err = x.pathVars(); err != nil {
		return c, err
	}
	header, err := x.singleHeader("Consistency-Token")
	switch {
	case err != nil:
		return c, err
	case header != "" && text != "" && header != text:
		return c, InvalidHeader("Consistency-Token", "must not differ from the parameter consistency")
	case header != "":
		text = header
	}
	if c.token, err = eventstore.ParseToken(text); err != nil {
		return c, err
	}
	c.wait = x.api.config.ReadWait
	if c.token.IsZero() {
		return c, nil
	}
	prefer := parsePrefer(x.r.Header.Values("Prefer"))
	c.lenient = prefer.lenient
	if prefer.hasWait {
		c.wait = min(prefer.wait, x.api.config.MaxReadWait)
		c.applied = append(c.applied, fmt.Sprintf("wait=%d", int64(c.wait.Seconds())))
	}
	return c, nil
}

// writeRead answers with v, or with 304 if the client has just that.
func (x *exchange) writeRead(v any) error {
	if stream, ok := v.(Streaming); ok {
		return x.writeStream(stream)
	}
	var body []byte
	if raw, ok := v.(Raw); ok {
		body = raw.AppendJSON(nil)
	} else {
		var err error
		if body, err = json.Marshal(v, json.Deterministic(true)); err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
	}
	h := x.w.Header()
	if page, ok := v.(interface{ nextCursor() Cursor }); ok && page.nextCursor() != "" {
		h.Set("Link", "<"+x.nextURL(page.nextCursor())+`>; rel="next"`)
	}
	tag := bodyTag(body)
	if versioned, ok := v.(Versioned); ok {
		tag = versionTag(versioned.StreamVersion())
	}
	x.writeTagged(tag, jsonType, append(body, '\n'))
	return nil
}

// writeTagged answers with a body, or with 304 if the client has the one with that tag.
func (x *exchange) writeTagged(tag, contentType string, body []byte) {
	h := x.w.Header()
	h.Set("Cache-Control", "private, no-cache")
	h.Set("ETag", tag)
	if matchesNone(x.r.Header.Values("If-None-Match"), tag) {
		x.w.WriteHeader(http.StatusNotModified)
		return
	}
	x.write(http.StatusOK, contentType, body)
}

func bodyTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// matchesNone reports whether the tag is among those of If-None-Match, so that
// the answer need not be sent. A weak tag matches the strong one.
func matchesNone(values []string, tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	for _, value := range values {
		for _, item := range splitUnquoted(value, ',') {
			item = strings.TrimSpace(item)
			if item == "*" || strings.TrimPrefix(item, "W/") == tag {
				return true
			}
		}
	}
	return false
}
