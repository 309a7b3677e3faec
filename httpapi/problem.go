package httpapi

import (
	"strings"

	"github.com/go-json-experiment/json"
)

// Problem is an error as a client sees it, see RFC 9457. A handler may return
// one; mostly it returns errors of its own, which the API translates.
type Problem struct {
	// Type is the path of the page on problems of this kind.
	Type string `json:"type"`
	// Title, Status and Code are those of the Kind.
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	// Detail says what went wrong this time.
	Detail string `json:"detail"`
	// Hint says what to do about it.
	Hint string `json:"hint"`
	// Errors name the parts of the request that are wrong, as far as known.
	Errors []FieldError `json:"errors,omitempty"`
	// Expected and Actual are stream versions, set if a precondition failed.
	// Actual is -1 if there is no stream.
	Expected *int64 `json:"expected,omitempty"`
	Actual   *int64 `json:"actual,omitempty"`
	// Instance is the path that was requested.
	Instance string `json:"instance,omitempty"`
	// RequestID finds the request in the log of the server.
	RequestID string `json:"request_id,omitempty"`
	// TraceID is that of the client's traceparent header.
	TraceID string `json:"trace_id,omitempty"`

	// retryAfter is in seconds; 0: no such header.
	retryAfter int
	// cause is for the log only.
	cause error
	// rendered, if set, is the body: a problem is repeated byte for byte, which replayed says.
	rendered []byte
	replayed bool
}

// FieldError says what is wrong with one part of a request. One of Pointer,
// Parameter and Header is set.
type FieldError struct {
	// Pointer is the JSON pointer of a member of the body; empty, for all of it.
	Pointer *string `json:"pointer,omitzero"`
	// Parameter is the name of a query parameter or of a part of the path.
	Parameter string `json:"parameter,omitempty"`
	// Header is the name of a header.
	Header string `json:"header,omitempty"`
	// Detail says what it must be.
	Detail string `json:"detail"`
}

const (
	maxDetailBytes = 2048
	maxFieldErrors = 50
)

// Problem returns a problem of this kind. Detail says what went wrong this
// time; it ends up in the answer, so it must not hold secrets.
func (k Kind) Problem(detail string) *Problem {
	return &Problem{
		Type:   problemPath + k.Code,
		Title:  k.Title,
		Status: k.Status,
		Code:   k.Code,
		Detail: sanitize(detail),
		Hint:   k.Fix,
	}
}

// Error says for the log what the problem is, and what caused it.
func (p *Problem) Error() string {
	text := p.Code + ": " + p.Detail
	if p.cause != nil {
		text += ": " + p.cause.Error()
	}
	return text
}

// Unwrap returns what caused the problem, if it is known.
func (p *Problem) Unwrap() error { return p.cause }

func (p *Problem) withPointer(pointer, detail string) *Problem {
	pointer = sanitize(pointer)
	return p.with(FieldError{Pointer: &pointer, Detail: sanitize(detail)})
}

func (p *Problem) withParameter(name, detail string) *Problem {
	return p.with(FieldError{Parameter: sanitize(name), Detail: sanitize(detail)})
}

func (p *Problem) withHeader(name, detail string) *Problem {
	return p.with(FieldError{Header: name, Detail: sanitize(detail)})
}

func (p *Problem) with(e FieldError) *Problem {
	if len(p.Errors) < maxFieldErrors {
		p.Errors = append(p.Errors, e)
	}
	return p
}

func (p *Problem) withHint(hint string) *Problem {
	p.Hint = hint
	return p
}

func (p *Problem) withCause(err error) *Problem {
	p.cause = err
	return p
}

func (p *Problem) withRetryAfter(seconds int) *Problem {
	p.retryAfter = seconds
	return p
}

// body returns the problem as JSON.
func (p *Problem) body() []byte {
	if p.rendered != nil {
		return p.rendered
	}
	// Every text went through sanitize, without which invalid UTF-8 of the request
	// would make the problem unprintable.
	b, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}

// sanitize makes text of a request fit for an answer: valid UTF-8 of bounded length.
func sanitize(s string) string {
	cut := len(s) > maxDetailBytes
	if cut {
		s = s[:maxDetailBytes]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if cut {
		s += "…"
	}
	return s
}
