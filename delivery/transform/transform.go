// Package transform makes what a target gets of an event: by an expression in JSONata, or by a template of JSON into which parts of the event are
// put. It does no I/O.
//
//	{"jsonata": "{'order': data.id, 'total': $sum(data.lines.(quantity * unit_price_minor))}"}
//	{"inputs": {"id": "$.data.id"}, "template": {"order": "<id>", "text": "Order <id> is placed"}}
//
// An event is the JSON object that is delivered. It becomes one body, nothing, or several if the Config says so. The same event becomes the same, unless
// an expression asks for the time or for chance.
package transform

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// Config says what an event becomes: JSONata is set, or Template.
type Config struct {
	// JSONata is an expression, of at most 16 KiB and 1,000 of ( [ { and -, without $eval. What it yields is the body; of what it yields nothing is
	// delivered.
	JSONata string `json:"jsonata,omitempty"`
	// Inputs are paths of what a template takes from the event, by names of letters, digits, '_' and '-': at most 100. A path is one of JSONPath
	// (RFC 9535) of names and indexes, such as $.data.lines[0].sku or $['data']['e-mail'].
	Inputs map[string]string `json:"inputs,omitempty"`
	// Template is any JSON value, of at most 64 KiB. A string in it that is <name> and nothing else becomes the input of that name, of whatever type it
	// is; inside other text <name> becomes the text of the input, its JSON if it is no string. An input that the event does not have is left
	// out: of its object, of its array, of the text. If nothing is left the event is dropped. Names of members stay as they are.
	Template jsontext.Value `json:"template,omitzero"`
	// Each makes a body of each element of an array, in order; none of one that is empty. A template must be an array then. What is no array is
	// one body. Default: an array is one body.
	Each bool `json:"each,omitzero"`
	// Sample is an event on which this must not fail.
	Sample jsontext.Value `json:"sample,omitzero"`
}

// Limits of what an event may become.
const (
	// MaxSize is how many bytes all bodies of an event have at most, MaxBodies how many there are.
	MaxSize   = 4 << 20
	MaxBodies = 1000

	maxJSONata  = 16 << 10
	maxTemplate = 64 << 10
	maxInputs   = 100
	maxPath     = 512
)

// Error says what is wrong with a Config.
type Error struct {
	// Pointer is the JSON pointer of a member of the Config; empty: it is the whole.
	Pointer string
	Reason  string
}

func (e *Error) Error() string { return e.Pointer + ": " + e.Reason }

// FailedError says why an event could not be transformed.
type FailedError struct {
	// Expression is the one that failed, or what it begins with; "template" for a template.
	Expression string
	// Reason is what went wrong.
	Reason string
	// Limited: it took too long, or too much memory, which may be different on another day.
	Limited bool
}

func (e *FailedError) Error() string { return fmt.Sprintf("transform %s: %s", e.Expression, e.Reason) }

// Transform is a Config that can be applied. It is safe for use by several goroutines.
type Transform struct {
	each bool
	// name is what errors call it.
	name  string
	apply func(event []byte) (body []byte, ok bool, err error)
}

// Compile returns what a Config says. The error is an *Error.
func Compile(c Config) (*Transform, error) {
	t := &Transform{each: c.Each}
	switch {
	case c.JSONata != "" && (c.Template != nil || c.Inputs != nil):
		return nil, &Error{"/jsonata", "must not be there beside a template and its inputs"}
	case c.JSONata != "":
		j, err := compileJSONata(c.JSONata)
		if err != nil {
			return nil, err
		}
		t.name, t.apply = abbreviated(c.JSONata), j.apply
	case c.Template != nil:
		p, err := compileTemplate(&c)
		if err != nil {
			return nil, err
		}
		t.name, t.apply = "template", p.apply
	default:
		return nil, &Error{"", `must have "jsonata", or "template" with its "inputs"`}
	}
	if c.Sample != nil {
		if kind := c.Sample.Kind(); kind != '{' || !c.Sample.IsValid() {
			return nil, &Error{"/sample", "must be an event as it is delivered, a JSON object"}
		}
		if _, err := t.Apply(c.Sample); err != nil {
			return nil, &Error{"/sample", err.Error()}
		}
	}
	return t, nil
}

// abbreviated returns what a text begins with.
func abbreviated(text string) string {
	const most = 200
	if len(text) > most {
		return fmt.Sprintf("%q…", text[:most])
	}
	return fmt.Sprintf("%q", text)
}

// Apply returns what becomes of an event, which must be a JSON object in UTF-8: the bodies, JSON values each. None: it is dropped. The error is a
// *FailedError.
func (t *Transform) Apply(event []byte) ([]jsontext.Value, error) {
	body, ok, err := t.apply(event)
	switch {
	case err != nil:
		return nil, t.failed(err)
	case !ok:
		return nil, nil
	case len(body) > MaxSize:
		return nil, t.failed(fmt.Errorf("yields more than %d bytes", MaxSize))
	case !t.each || body[0] != '[':
		return []jsontext.Value{body}, nil
	}
	var all []jsontext.Value
	s := scanner{text: body}
	s.elements(func(_ int, from, to int) { all = append(all, body[from:to:to]) })
	if len(all) > MaxBodies {
		return nil, t.failed(fmt.Errorf("yields %d bodies, at most %d are allowed", len(all), MaxBodies))
	}
	return all, nil
}

func (t *Transform) failed(err error) error {
	failed, ok := err.(*FailedError)
	if !ok {
		failed = &FailedError{Reason: err.Error()}
	}
	failed.Expression = t.name
	return failed
}
