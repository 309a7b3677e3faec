package projections

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"maps"
	"slices"

	"github.com/57528e99/recount/eventstore"
)

// handledTypes are the event types that a projection handles: all names of each, by its present
// one.
type handledTypes map[string][]string

// add adds the type with a name, present or former, and reports whether the codec has it.
func (h handledTypes) add(codec *eventstore.Codec, name string) bool {
	names := codec.Names(name)
	if len(names) > 0 {
		h[names[0]] = names
	}
	return len(names) > 0
}

// types returns the names that events may be under in the log, sorted.
func (h handledTypes) types() []string {
	var all []string
	for _, names := range h {
		all = append(all, names...)
	}
	slices.Sort(all)
	return all
}

// namings yields the types, each under one of its names, sorted: first all under their present
// names, then every other choice. There are few: types are seldom renamed.
func (h handledTypes) namings() iter.Seq[[]string] {
	types := slices.Sorted(maps.Keys(h))
	var choose func(chosen []string, yield func([]string) bool) bool
	choose = func(chosen []string, yield func([]string) bool) bool {
		if len(chosen) == len(types) {
			return yield(slices.Sorted(slices.Values(chosen)))
		}
		for _, name := range h[types[len(chosen)]] {
			if !choose(append(chosen, name), yield) {
				return false
			}
		}
		return true
	}
	return func(yield func([]string) bool) { choose(nil, yield) }
}

// definitionOf returns the hash of a projection's definition, with the present names of event
// types.
func definitionOf(runs projector, define func(events []string) string) string {
	for names := range runs.namings() {
		return hashOf(define(names))
	}
	return ""
}

// isDefinedAs reports whether rows with a definition are those of a projection. A type that was
// renamed is the same type, so any of its names may be in the definition.
func isDefinedAs(definition string, runs projector, define func(events []string) string) bool {
	for names := range runs.namings() {
		if definition == hashOf(define(names)) {
			return true
		}
	}
	return false
}

func hashOf(definition string) string {
	sum := sha256.Sum256([]byte(definition))
	return hex.EncodeToString(sum[:])
}
