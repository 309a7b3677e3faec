package wire

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
func checkAnswer(r Request, a Answer) error {
	if err := checkHeader(r, a); err != nil {
		return err
	}
	switch {
	case r.Method == http.MethodHead || a.Status == http.StatusNotModified:
		if len(a.Body) > 0 {
			return fmt.Errorf("there is a body of %d bytes", len(a.Body))
		}
		return nil
	case a.Status >= 400:
		_, err := ReadProblem(a)
		return err
	}
	return nil
}

func checkHeader(r Request, a Answer) error {
	for name, values := range a.Header {
		for _, v := range values {
			if strings.ContainsFunc(v, func(c rune) bool { return c < 0x20 || c > 0x7e }) {
				return fmt.Errorf("the header %s is %q, want printable ASCII", name, v)
			}
		}
	}
	for _, name := range []string{"X-Request-Id", "Cache-Control", "Date"} {
		if len(a.Header.Values(name)) != 1 {
			return fmt.Errorf("the header %s is %q, want one", name, a.Header.Values(name))
		}
	}
	if a.Header.Get("X-Content-Type-Options") != "nosniff" {
		return errors.New("the header X-Content-Type-Options is not nosniff")
	}
	if tag := a.Header.Get("ETag"); tag != "" && !entityTagPattern.MatchString(tag) {
		return fmt.Errorf("the header ETag is %q", tag)
	}
	if link := a.Header.Get("Link"); link != "" && !linkPattern.MatchString(link) {
		return fmt.Errorf("the header Link is %q", link)
	}
	if at := a.Header.Get("Location"); at != "" && !strings.HasPrefix(at, "/") {
		return fmt.Errorf("the header Location is %q, want a path", at)
	}
	if after := a.Header.Get("Retry-After"); after != "" {
		if n, err := strconv.Atoi(after); err != nil || n < 1 {
			return fmt.Errorf("the header Retry-After is %q, want seconds", after)
		}
	}
	if allow := a.Header.Get("Allow"); (a.Status == http.StatusMethodNotAllowed) != (allow != "") || allow != "" && strings.Contains(", "+allow+",", ", "+r.Method+",") {
		return fmt.Errorf("%d to %s has the header Allow: %q", a.Status, r.Method, allow)
	}
	return nil
}

// Problem is a problem as docs/http.md describes it, and nothing else. It is not
// the server's own type: what changes there has to be noticed here.
type Problem struct {
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

// ReadProblem returns the problem that an answer is.
func ReadProblem(a Answer) (p Problem, err error) {
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		return p, fmt.Errorf("the Content-Type of %d is %q, want application/problem+json", a.Status, got)
	}
	if err := DecodeStrictly(a.Body, &p); err != nil {
		return p, fmt.Errorf("the problem cannot be read: %w", err)
	}
	switch {
	case p.Status != a.Status:
		return p, fmt.Errorf("the problem's status is %d, the answer's %d", p.Status, a.Status)
	case p.Code == "" || p.Type != "/problems/"+p.Code:
		return p, fmt.Errorf("the problem's type is %q and its code %q", p.Type, p.Code)
	case p.Title == "" || p.Detail == "" || p.Hint == "":
		return p, errors.New("the problem lacks title, detail or hint")
	case p.RequestID == "" || p.RequestID != a.Header.Get("X-Request-Id") && a.Header.Get("Idempotency-Replayed") == "":
		return p, fmt.Errorf("the problem's request_id is %q, the header's %q", p.RequestID, a.Header.Get("X-Request-Id"))
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

// DecodeStrictly reads one JSON value with known members only.
func DecodeStrictly(text []byte, v any) error {
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

// Same compares an answer with what it should be, as JSON.
func Same(body []byte, want any) error {
	var got any
	if err := DecodeStrictly(body, &got); err != nil {
		return err
	}
	if found, wanted := canonical(got), canonical(want); !bytes.Equal(found, wanted) {
		return fmt.Errorf("the answer is %s, want %s", Cut(body), Cut(wanted))
	}
	return nil
}

// canonical writes the JSON of a value in one way, its members in order.
func canonical(v any) []byte {
	var plain any
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &plain)
	}
	if err == nil {
		text, err = json.Marshal(plain)
	}
	if err != nil {
		panic(fmt.Sprintf("%v has no JSON: %v", v, err))
	}
	return text
}

// Cut returns what a failure shows of a text.
func Cut(text []byte) string {
	if len(text) > maxShown {
		return string(text[:maxShown]) + "…"
	}
	return string(text)
}

// IsAt checks that an answer is of a version.
func (a Answer) IsAt(version int64) error {
	if tag := fmt.Sprintf(`"%d"`, version); a.Header.Get("ETag") != tag {
		return fmt.Errorf("the ETag is %s, want %s", a.Header.Get("ETag"), tag)
	}
	return nil
}
