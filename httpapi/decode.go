package httpapi

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxDepth bounds the nesting of a body.
	maxDepth = 32
	// maxNumber is the largest integer that every JSON program reads exactly.
	maxNumber = 1<<53 - 1
)

// Validator is implemented by bodies that check themselves after decoding, for
// what a type and its tags cannot say (IsRequired). The error makes the request
// 400 invalid-body; it may be a FieldBlamer.
type Validator interface{ Validate() error }

// decode reads a body into v, a pointer to a struct. It takes one JSON object in
// UTF-8 and nothing else: no member twice or unknown, no null where v has no
// room for it, no NUL, no number beyond ±(2^53-1). The error is a *Problem.
func decode(body []byte, v any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return kindMalformedJSON.Problem("The body is empty.").withHint("Send a JSON object; GET / lists its members for each route.")
	}
	options := strict
	if bytes.Contains(body, []byte("null")) {
		options = strictWithNulls
	}
	if err := json.Unmarshal(body, v, options); err != nil {
		// What is wrong with the text comes first: of a member, there may be worse behind it.
		return cmp.Or[error](checkText(body), bodyProblem(err))
	}
	if !withinBounds(body) {
		if err := checkText(body); err != nil {
			return err
		}
	}
	if path := missingMember(body, reflect.ValueOf(v).Elem()); path != nil {
		return InvalidMember("/"+strings.Join(path, "/"), "must be given")
	}
	if validator, ok := v.(Validator); ok {
		if err := validator.Validate(); err != nil {
			return kindInvalidBody.Problem(err.Error()).withBlame(err)
		}
	}
	return nil
}

// canonical returns a decoded body in a form in which white space, the order of
// members and the spelling of strings and numbers do not count (RFC 8785).
func canonical(body []byte) ([]byte, error) {
	if len(body) == 0 {
		return []byte("{}"), nil
	}
	value := jsontext.Value(slices.Clone(body))
	if err := value.Canonicalize(); err != nil {
		return nil, fmt.Errorf("canonicalize the body: %w", err)
	}
	return value, nil
}

// withinBounds reports whether a body that is JSON passes checkText, in a fraction of the time. It
// may take numbers that are in bounds for some that are not.
func withinBounds(body []byte) bool {
	depth, digits := 0, 0
	for i := 0; i < len(body); i++ {
		c := body[i]
		if '0' <= c && c <= '9' {
			if digits++; digits > 15 {
				return false
			}
			continue
		}
		switch c {
		case '"':
			for i++; body[i] != '"'; i++ {
				if body[i] == '\\' {
					if bytes.HasPrefix(body[i:], []byte(`\u0000`)) {
						return false
					}
					i++
				}
			}
		case '{', '[':
			if depth++; depth > maxDepth {
				return false
			}
		case '}', ']':
			depth--
		case 'e', 'E':
			if digits > 0 {
				return false
			}
		}
		digits = 0
	}
	return true
}

// checkText walks the whole text for what no type can refuse, and names its place.
func checkText(body []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	// What only begins as another value does is not JSON.
	if k := d.PeekKind(); k != jsontext.KindBeginObject && k != jsontext.KindInvalid && jsontext.Value(body).IsValid() {
		return InvalidMember("", "must be an object, it is "+kindName(k))
	}
	for {
		token, err := d.ReadToken()
		switch {
		case err != nil:
			return malformed(err)
		case d.StackDepth() > maxDepth:
			return kindInvalidBody.Problem(fmt.Sprintf("The body is nested deeper than %d levels.", maxDepth)).
				withPointer(string(d.StackPointer()), "is nested too deep")
		}
		if detail := invalidToken(token); detail != "" {
			return InvalidMember(string(d.StackPointer()), detail)
		}
		if d.StackDepth() == 0 {
			return checkEnd(body, d.InputOffset())
		}
	}
}

func checkEnd(body []byte, end int64) error {
	if len(bytes.TrimLeft(body[end:], " \t\r\n")) == 0 {
		return nil
	}
	return kindMalformedJSON.Problem(fmt.Sprintf("There is more text behind the end of the value at byte %d.", end))
}

func invalidToken(t jsontext.Token) string {
	switch t.Kind() {
	case jsontext.KindString:
		if strings.ContainsRune(t.String(), 0) {
			return "must not have the character U+0000"
		}
	case jsontext.KindNumber:
		// The error of ParseFloat is a number out of its range: ±Inf.
		if f, _ := strconv.ParseFloat(t.String(), 64); f > maxNumber || f < -maxNumber {
			return fmt.Sprintf("must be from -%d to %d, the numbers that JSON programs read exactly", int64(maxNumber), int64(maxNumber))
		}
	}
	return ""
}

// malformed names the place of a syntax error by byte, since the pointer may
// lead to something that is not there.
func malformed(err error) *Problem {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return kindMalformedJSON.Problem("The body is cut off.").withCause(err)
	}
	detail := syntax.Err.Error()
	if errors.Is(syntax.Err, io.ErrUnexpectedEOF) {
		detail = "the text ends too early"
	}
	return kindMalformedJSON.Problem(fmt.Sprintf("The body is not JSON at byte %d: %s.", syntax.ByteOffset, detail)).
		withPointer(string(syntax.JSONPointer), detail)
}

var errNull = errors.New("must not be null; leave it out")

// strict is how bodies are decoded, strictWithNulls those that may have a null: to look out for one
// takes longer than all else.
var (
	strict          = json.JoinOptions(json.RejectUnknownMembers(true), json.WithUnmarshalers(times))
	strictWithNulls = json.JoinOptions(strict, json.WithUnmarshalers(json.JoinUnmarshalers(noNulls, times)))
)

// times reads every time as Time does: what a body has may come into an event, which must be readable, and into a row.
var times = json.UnmarshalFunc(func(value []byte, t *time.Time) error {
	var own Time
	err := own.UnmarshalJSON(value)
	*t = own.time
	return err
})

// noNulls refuses null for what cannot hold it. Without it null would be zero:
// a price of null a price of 0.
var noNulls = json.UnmarshalFromFunc(func(d *jsontext.Decoder, v any) error {
	if d.PeekKind() != jsontext.KindNull {
		return errors.ErrUnsupported
	}
	switch reflect.TypeOf(v).Elem().Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return errors.ErrUnsupported
	}
	return errNull
})
