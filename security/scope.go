package security

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/57528e99/recount/eventstore"
)

// Scope is a part of the log: the streams of some categories, and those whose names begin in some ways. Its zero value is
// all of the log.
type Scope struct {
	// Categories are matched whole.
	Categories []string `json:"categories,omitempty"`
	// Prefixes are beginnings of names of streams. Each ends with no letter or digit, as in "order-eu-": so tenant-1-
	// cannot be taken for the beginning of tenant-10-.
	Prefixes []string `json:"stream_prefixes,omitempty"`
}

// IsAll reports whether it is all of the log.
func (s Scope) IsAll() bool { return len(s.Categories) == 0 && len(s.Prefixes) == 0 }

// HasCategory reports whether all streams of a category are in it.
func (s Scope) HasCategory(category string) bool {
	return s.IsAll() || slices.Contains(s.Categories, category)
}

// HasStream reports whether a stream is in it. The metadata of a stream are where the stream is.
func (s Scope) HasStream(stream string) bool {
	stream = strings.TrimPrefix(stream, "$$")
	return s.HasCategory(eventstore.Category(stream)) || slices.ContainsFunc(s.Prefixes, func(p string) bool { return strings.HasPrefix(stream, p) })
}

// StreamPrefixes returns it for a filter of reads, which makes the database leave out the rest: streams whose names begin with one of
// them are in it. None: all of the log. A stream that is called as its category is left out too.
func (s Scope) StreamPrefixes() []string {
	all := slices.Clone(s.Prefixes)
	for _, category := range s.Categories {
		all = append(all, category+"-")
	}
	return all
}

// maxScopes bounds categories and prefixes of a scope, maxNameBytes each of them.
const maxScopes, maxNameBytes = 100, 256

// Check reports the first mistake.
func (s Scope) Check() error {
	if len(s.Categories) > maxScopes || len(s.Prefixes) > maxScopes {
		return fmt.Errorf("a scope has at most %d categories and %d prefixes", maxScopes, maxScopes)
	}
	for _, category := range s.Categories {
		if err := checkText(category); err != nil {
			return fmt.Errorf("category %q: %w", category, err)
		}
		if strings.Contains(category, "-") {
			return fmt.Errorf("category %q: must have no '-', which ends the category of a stream", category)
		}
	}
	for _, prefix := range s.Prefixes {
		if err := checkText(prefix); err != nil {
			return fmt.Errorf("stream prefix %q: %w", prefix, err)
		}
		if last, _ := utf8.DecodeLastRuneInString(prefix); unicode.IsLetter(last) || unicode.IsDigit(last) {
			return fmt.Errorf("stream prefix %q: must not end with a letter or a digit, or %s1 would be in it: %s-", prefix, prefix, prefix)
		}
	}
	return nil
}

// checkText reports a name of what no stream can begin with.
func checkText(name string) error {
	switch {
	case name == "" || len(name) > maxNameBytes || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("must have 1 to %d bytes of UTF-8 without control characters", maxNameBytes)
	case name[0] == '$':
		return errors.New("must not begin with '$': streams of the engine itself need no scope, but a role for everything")
	}
	return nil
}
