package transform

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// template is a Config's Template.
type template struct {
	root   part
	inputs int
	paths  paths
	// size is that of the template.
	size int
}

// part is a value of a template.
type part struct {
	// fixed is JSON that no input is in; nil: another member is set.
	fixed []byte
	// input is one that is the value, from 1.
	input   int
	members []member
	isArray bool
	array   []part
	text    []piece
}

type member struct {
	// name is JSON, with the colon.
	name  []byte
	value part
}

// piece is a piece of a text: what stands in quotes, or an input from 1.
type piece struct {
	fixed []byte
	input int
}

var (
	inputName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	reference = regexp.MustCompile(`<([A-Za-z0-9_-]{1,64})>`)
)

func compileTemplate(c *Config) (*template, error) {
	switch {
	case len(c.Template) > maxTemplate:
		return nil, &Error{"/template", fmt.Sprintf("must be at most %d bytes, it is %d", maxTemplate, len(c.Template))}
	case !c.Template.IsValid():
		return nil, &Error{"/template", "must be JSON, in which no object has a name twice"}
	case len(c.Inputs) > maxInputs:
		return nil, &Error{"/inputs", fmt.Sprintf("must be at most %d, they are %d", maxInputs, len(c.Inputs))}
	}
	t := &template{inputs: len(c.Inputs), size: len(c.Template)}
	names := slices.Sorted(maps.Keys(c.Inputs))
	for i, name := range names {
		at := "/inputs" + string(jsontext.Pointer("").AppendToken(name))
		if !inputName.MatchString(name) {
			return nil, &Error{at, "must have a name of letters, digits, '_' and '-', at most 64 bytes"}
		}
		if err := t.paths.add(c.Inputs[name], i); err != nil {
			return nil, &Error{at, err.Error()}
		}
	}
	b := builder{names: names, used: make([]bool, len(names))}
	var err error
	if t.root, err = b.build(jsontext.NewDecoder(bytes.NewReader(c.Template))); err != nil {
		return nil, &Error{"/template", err.Error()}
	}
	for i, used := range b.used {
		if !used {
			return nil, &Error{"/inputs" + string(jsontext.Pointer("").AppendToken(names[i])), fmt.Sprintf("must be used: <%s> is nowhere in the template", names[i])}
		}
	}
	if c.Each && c.Template.Kind() != '[' {
		return nil, &Error{"/template", `must be an array: "each" makes a body of each element`}
	}
	return t, nil
}

// builder makes parts of JSON.
type builder struct {
	names []string
	used  []bool
}

func (b *builder) input(name string) int {
	i, ok := slices.BinarySearch(b.names, name)
	if !ok {
		return 0
	}
	b.used[i] = true
	return i + 1
}

func (b *builder) build(d *jsontext.Decoder) (p part, err error) {
	switch d.PeekKind() {
	case '{':
		return b.object(d)
	case '[':
		return b.array(d)
	}
	value, err := d.ReadValue()
	if err != nil {
		return p, err
	}
	value = value.Clone()
	p.fixed = value
	if value.Kind() != '"' {
		return p, nil
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return p, err
	}
	if m := reference.FindStringSubmatch(text); m != nil && m[0] == text {
		if p.fixed, p.input = nil, b.input(m[1]); p.input == 0 {
			return p, fmt.Errorf("there is no input %q: %s stands for one", m[1], text)
		}
		return p, nil
	}
	from := 0
	var pieces []piece
	for _, at := range reference.FindAllStringSubmatchIndex(text, -1) {
		if input := b.input(text[at[2]:at[3]]); input != 0 {
			pieces = append(pieces, piece{fixed: inQuotes(text[from:at[0]])}, piece{input: input})
			from = at[1]
		}
	}
	if pieces != nil {
		p.fixed, p.text = nil, append(pieces, piece{fixed: inQuotes(text[from:])})
	}
	return p, nil
}

// inQuotes returns what stands for a text inside the quotes of a string.
func inQuotes(text string) []byte {
	quoted, _ := jsontext.AppendQuote(nil, text) // of a text that was JSON
	return quoted[1 : len(quoted)-1]
}

func (b *builder) object(d *jsontext.Decoder) (p part, err error) {
	if _, err := d.ReadToken(); err != nil {
		return p, err
	}
	p.members = []member{}
	isFixed := true
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return p, err
		}
		m := member{name: append(slices.Clone(name), ':')}
		if m.value, err = b.build(d); err != nil {
			return p, err
		}
		isFixed = isFixed && m.value.fixed != nil
		p.members = append(p.members, m)
	}
	_, err = d.ReadToken()
	return p.settled(isFixed), err
}

func (b *builder) array(d *jsontext.Decoder) (p part, err error) {
	if _, err := d.ReadToken(); err != nil {
		return p, err
	}
	p.isArray = true
	isFixed := true
	for d.PeekKind() != ']' {
		e, err := b.build(d)
		if err != nil {
			return p, err
		}
		isFixed = isFixed && e.fixed != nil
		p.array = append(p.array, e)
	}
	_, err = d.ReadToken()
	return p.settled(isFixed), err
}

// settled returns the part as text, if it is that.
func (p part) settled(isFixed bool) part {
	if !isFixed {
		return p
	}
	text, _ := p.append(nil, nil)
	return part{fixed: text}
}

func (t *template) apply(event []byte) (body []byte, ok bool, err error) {
	var room [16][]byte
	values := room[:]
	if t.inputs > len(room) {
		values = make([][]byte, t.inputs)
	}
	t.paths.find(event, values)
	size := t.size
	for _, v := range values {
		size += len(v)
	}
	body, ok = t.root.append(make([]byte, 0, min(size, MaxSize)), values)
	return body, ok, nil
}

// append appends the part with the values of inputs. False: it is to be left out. It ends early with what is more than MaxSize: an input may
// be there ten thousand times.
func (p *part) append(to []byte, values [][]byte) ([]byte, bool) {
	switch {
	case p.fixed != nil:
		return append(to, p.fixed...), true
	case p.input > 0:
		v := values[p.input-1]
		return append(to, v...), v != nil
	case p.text != nil:
		return appendText(to, p.text, values), true
	case p.isArray:
		to = append(to, '[')
		begun := len(to)
		for i := range p.array {
			if to = p.array[i].appendBehind(to, begun, nil, values); len(to) > MaxSize {
				break
			}
		}
		return append(to, ']'), true
	}
	to = append(to, '{')
	begun := len(to)
	for i := range p.members {
		if to = p.members[i].value.appendBehind(to, begun, p.members[i].name, values); len(to) > MaxSize {
			break
		}
	}
	return append(to, '}'), true
}

// appendBehind appends the part with its name to what has begun somewhere, unless it is to be left out.
func (p *part) appendBehind(to []byte, begun int, name []byte, values [][]byte) []byte {
	before := len(to)
	if before > begun {
		to = append(to, ',')
	}
	to, ok := p.append(append(to, name...), values)
	if !ok {
		return to[:before]
	}
	return to
}

func appendText(to []byte, text []piece, values [][]byte) []byte {
	to = append(to, '"')
	for _, piece := range text {
		if piece.input == 0 {
			to = append(to, piece.fixed...)
			continue
		}
		switch v := values[piece.input-1]; {
		case len(v) < 2 && (len(v) == 0 || v[0] == '"'):
		case v[0] == '"': // what stands in its quotes can stand in others
			to = append(to, v[1:len(v)-1]...)
		case v[0] == '{' || v[0] == '[':
			to = append(to, inQuotes(string(v))...)
		default:
			to = append(to, v...)
		}
		if len(to) > MaxSize {
			break
		}
	}
	return append(to, '"')
}
