package transform

import "github.com/go-json-experiment/json/jsontext"

// scanner goes through JSON that is known to be right. Of other text it finds something or other, and ends.
type scanner struct {
	text []byte
	at   int
}

// kind returns the byte that it is at; 0: the text is over.
func (s *scanner) kind() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\n' || s.text[s.at] == '\t' || s.text[s.at] == '\r') {
		s.at++
	}
}

// str passes a string. Escaped: it says something else than what it has between its quotes.
func (s *scanner) str() (escaped bool) {
	at, text := s.at+1, s.text
	for at < len(text) {
		switch text[at] {
		case '\\':
			escaped = true
			at++
		case '"':
			s.at = at + 1
			return escaped
		}
		at++
	}
	s.at = len(text)
	return escaped
}

// skip passes a value.
func (s *scanner) skip() {
	depth := 0
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '"':
			s.str()
			if depth == 0 {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth <= 0 {
				if depth == 0 {
					s.at++
				}
				return
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return
			}
		}
		s.at++
	}
}

// members passes an object. It calls f for the value of each member, which passes it or returns false.
func (s *scanner) members(f func(name []byte) bool) {
	for s.at++; s.at < len(s.text); {
		switch s.space(); s.kind() {
		case '}':
			s.at++
			return
		case '"':
			from := s.at
			escaped := s.str()
			name := unquoted(s.text[from:s.at], escaped)
			if s.space(); s.kind() == ':' {
				s.at++
			}
			s.space()
			if from := s.at; !f(name) || s.at == from {
				s.skip()
			}
		default:
			s.at++ // a comma
		}
	}
}

// elements passes an array. It calls f with where its elements are.
func (s *scanner) elements(f func(i, from, to int)) {
	i := 0
	for s.at++; s.at < len(s.text); {
		switch s.space(); s.kind() {
		case ']':
			s.at++
			return
		case ',':
			s.at++
		default:
			from := s.at
			if s.skip(); s.at == from {
				s.at++
			}
			f(i, from, s.at)
			i++
		}
	}
}

// unquoted returns what a string says.
func unquoted(quoted []byte, escaped bool) []byte {
	if escaped {
		name, _ := jsontext.AppendUnquote(nil, quoted) // its error is about surrogates, in whose place U+FFFD is written
		return name
	}
	return quoted[min(1, len(quoted)):max(len(quoted)-1, min(1, len(quoted)))]
}
