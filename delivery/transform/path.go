package transform

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// Paths are paths of JSONPath of names and indexes, as Config.Inputs has them.
type Paths struct {
	paths paths
	count int
}

// NewPaths returns paths. The error says which is wrong, and how.
func NewPaths(all ...string) (*Paths, error) {
	p := &Paths{count: len(all)}
	for i, path := range all {
		if err := p.paths.add(path, i); err != nil {
			return nil, fmt.Errorf("%q %w", path, err)
		}
	}
	return p, nil
}

// Find returns what an event has at the paths, in their order; nil: nothing. The event must be JSON.
func (p *Paths) Find(event []byte) [][]byte {
	values := make([][]byte, p.count)
	p.paths.find(event, values)
	return values
}

// paths are the paths of inputs as a tree: what they begin with together is looked for once.
type paths struct {
	names   map[string]*paths
	indexes map[int]*paths
	// here are the inputs of this place, below those and the ones of places inside.
	here, below []int
}

var (
	shortName = regexp.MustCompile(`^\.([\pL_][\pL\pN_]*)`)
	longName  = regexp.MustCompile(`^\[("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\]`)
	index     = regexp.MustCompile(`^\[(0|[1-9][0-9]{0,8})\]`)
)

// add adds the path of an input.
func (p *paths) add(path string, input int) error {
	rest, ok := strings.CutPrefix(path, "$")
	if !ok || len(path) > maxPath {
		return fmt.Errorf("must be a path of at most %d bytes that begins with $, such as $.data.id", maxPath)
	}
	p.below = append(p.below, input)
	for rest != "" {
		if m := index.FindStringSubmatch(rest); m != nil {
			n, _ := strconv.Atoi(m[1]) // of at most nine digits
			if p.indexes == nil {
				p.indexes = make(map[int]*paths)
			}
			p, rest = child(p.indexes, n), rest[len(m[0]):]
		} else {
			name, length, err := nameOf(rest)
			if err != nil {
				return fmt.Errorf("must be names and indexes behind $, such as $.data.lines[0]['e-mail']: there is %.60q", rest)
			}
			if p.names == nil {
				p.names = make(map[string]*paths)
			}
			p, rest = child(p.names, name), rest[length:]
		}
		p.below = append(p.below, input)
	}
	p.here = append(p.here, input)
	return nil
}

func child[K comparable](of map[K]*paths, key K) *paths {
	if of[key] == nil {
		of[key] = new(paths)
	}
	return of[key]
}

// nameOf returns the name that a path begins with, and its length.
func nameOf(rest string) (name string, length int, err error) {
	if m := shortName.FindStringSubmatch(rest); m != nil {
		return m[1], len(m[0]), nil
	}
	m := longName.FindStringSubmatch(rest)
	if m == nil {
		return "", 0, fmt.Errorf("no name")
	}
	quoted := m[1]
	if quoted[0] == '\'' {
		inside := strings.ReplaceAll(quoted[1:len(quoted)-1], `\'`, `'`)
		quoted = `"` + strings.ReplaceAll(inside, `"`, `\"`) + `"`
	}
	return name, len(m[0]), json.Unmarshal([]byte(quoted), &name)
}

// find puts what the event has of the inputs into values. Of members of the same name the last counts.
func (p *paths) find(event []byte, values [][]byte) {
	s := scanner{text: event}
	s.space()
	s.find(p, values)
}

func (s *scanner) find(p *paths, values [][]byte) {
	from := s.at
	switch kind := s.kind(); {
	case kind == '{' && p.names != nil:
		s.members(func(name []byte) bool {
			inside := p.names[string(name)]
			if inside == nil {
				return false
			}
			for _, input := range inside.below {
				values[input] = nil
			}
			s.find(inside, values)
			return true
		})
	case kind == '[' && p.indexes != nil:
		s.elements(func(i, from, to int) {
			if inside := p.indexes[i]; inside != nil {
				in := scanner{text: s.text[:to], at: from}
				in.find(inside, values)
			}
		})
	default:
		s.skip()
	}
	for _, input := range p.here {
		values[input] = s.text[from:s.at]
	}
}
