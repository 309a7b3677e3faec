package hostile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	entityTagPattern = regexp.MustCompile(`^(W/)?"[!#-~]*"$`)
	linkPattern      = regexp.MustCompile(`^</[!-~]*>; rel="next"$`)
)

// checkAnswer checks what every answer owes to every request, whatever was
// asked.
func checkAnswer(r request, a answer) error {
	if err := checkHeader(r, a); err != nil {
		return err
	}
	switch {
	case r.method == http.MethodHead || a.status == http.StatusNotModified:
		if len(a.body) > 0 {
			return fmt.Errorf("there is a body of %d bytes", len(a.body))
		}
		return nil
	case a.status >= 400:
		_, err := readProblem(a)
		return err
	}
	return nil
}

func checkHeader(r request, a answer) error {
	for name, values := range a.header {
		for _, v := range values {
			if strings.ContainsFunc(v, func(c rune) bool { return c < 0x20 || c > 0x7e }) {
				return fmt.Errorf("the header %s is %q, want printable ASCII", name, v)
			}
		}
	}
	for _, name := range []string{"X-Request-Id", "Cache-Control", "Date"} {
		if len(a.header.Values(name)) != 1 {
			return fmt.Errorf("the header %s is %q, want one", name, a.header.Values(name))
		}
	}
	if a.header.Get("X-Content-Type-Options") != "nosniff" {
		return errors.New("the header X-Content-Type-Options is not nosniff")
	}
	if tag := a.header.Get("ETag"); tag != "" && !entityTagPattern.MatchString(tag) {
		return fmt.Errorf("the header ETag is %q", tag)
	}
	if link := a.header.Get("Link"); link != "" && !linkPattern.MatchString(link) {
		return fmt.Errorf("the header Link is %q", link)
	}
	if at := a.header.Get("Location"); at != "" && !strings.HasPrefix(at, "/") {
		return fmt.Errorf("the header Location is %q, want a path", at)
	}
	if after := a.header.Get("Retry-After"); after != "" {
		if n, err := strconv.Atoi(after); err != nil || n < 1 {
			return fmt.Errorf("the header Retry-After is %q, want seconds", after)
		}
	}
	if allow := a.header.Get("Allow"); (a.status == http.StatusMethodNotAllowed) != (allow != "") || allow != "" && strings.Contains(", "+allow+",", ", "+r.method+",") {
		return fmt.Errorf("%d to %s has the header Allow: %q", a.status, r.method, allow)
	}
	return nil
}

// problem is a problem as docs/http.md describes it, and nothing else. It is not
// the server's own type: what changes there has to be noticed here.
type problem struct {
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Code      string       `json:"code"`
	Detail    string       `json:"detail"`
	Hint      string       `json:"hint"`
	Errors    []fieldError `json:"errors"`
	Expected  *int64       `json:"expected"`
	Actual    *int64       `json:"actual"`
	Instance  string       `json:"instance"`
	RequestID string       `json:"request_id"`
	TraceID   string       `json:"trace_id"`
}

type fieldError struct {
	Pointer   *string `json:"pointer"`
	Parameter string  `json:"parameter"`
	Header    string  `json:"header"`
	Detail    string  `json:"detail"`
}

// readProblem returns the problem that an answer is.
func readProblem(a answer) (p problem, err error) {
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		return p, fmt.Errorf("the Content-Type of %d is %q, want application/problem+json", a.status, got)
	}
	if err := decodeStrictly(a.body, &p); err != nil {
		return p, fmt.Errorf("the problem cannot be read: %w", err)
	}
	switch {
	case p.Status != a.status:
		return p, fmt.Errorf("the problem's status is %d, the answer's %d", p.Status, a.status)
	case p.Code == "" || p.Type != "/problems/"+p.Code:
		return p, fmt.Errorf("the problem's type is %q and its code %q", p.Type, p.Code)
	case p.Title == "" || p.Detail == "" || p.Hint == "":
		return p, errors.New("the problem lacks title, detail or hint")
	case p.RequestID == "" || p.RequestID != a.header.Get("X-Request-Id") && a.header.Get("Idempotency-Replayed") == "":
		return p, fmt.Errorf("the problem's request_id is %q, the header's %q", p.RequestID, a.header.Get("X-Request-Id"))
	}
	for _, e := range p.Errors {
		if err := e.check(); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (e fieldError) check() error {
	named := 0
	for _, is := range []bool{e.Pointer != nil, e.Parameter != "", e.Header != ""} {
		if is {
			named++
		}
	}
	if named != 1 || e.Detail == "" {
		return fmt.Errorf("errors has %+v, want one of pointer, parameter and header, and a detail", e)
	}
	if e.Pointer != nil && *e.Pointer != "" && (*e.Pointer)[0] != '/' {
		return fmt.Errorf("errors has the pointer %q, want a JSON pointer", *e.Pointer)
	}
	return nil
}

// decodeStrictly reads one JSON value with known members only.
func decodeStrictly(text []byte, v any) error {
	if !utf8.Valid(text) {
		return fmt.Errorf("%.200q is not UTF-8", text)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w in %.200q", err, text)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("there is more than one value in %.200q", text)
	}
	return nil
}
