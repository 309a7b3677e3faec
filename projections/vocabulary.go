package projections

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/57528e99/recount/eventstore"
)

// UnknownTypesError says that a log has events of types that the program does not know, among
// events that are its own. It matches eventstore.ErrUnknownType.
type UnknownTypesError struct{ Types []UnknownType }

// UnknownType is an event type that the codec does not know.
type UnknownType struct {
	Type string
	// Events is how many there are, First the position of the first.
	Events, First int64
}

func (e *UnknownTypesError) Error() string {
	var all []string
	for _, t := range e.Types {
		all = append(all, fmt.Sprintf("%q (%d, the first at position %d)", t.Type, t.Events, t.First))
	}
	return "the log has events of types that this program does not know: " + strings.Join(all, ", ")
}

// Unwrap returns eventstore.ErrUnknownType.
func (e *UnknownTypesError) Unwrap() error { return eventstore.ErrUnknownType }

// Hint says how to get on.
func (e *UnknownTypesError) Hint() string {
	return "if a type has another name now, say what it was with eventstore.Was; else register it with eventstore.TypeOf, run a newer program, " +
		"or leave its events out by name"
}

// vocabulary says which events of a log a program reads. What it does not know it meets in its
// place, and goes no further: read models that go on without would be wrong for good, and nothing
// would show it.
type vocabulary struct {
	log     eventstore.Reader
	codec   *eventstore.Codec
	ignored []string
	// categories are the program's, if they are configured.
	categories []string

	mu sync.Mutex
	// own has the categories that were looked at, and whether they are the program's.
	own map[string]bool
}

func newVocabulary(log eventstore.Reader, codec *eventstore.Codec, ignored, categories []string) *vocabulary {
	v := &vocabulary{log: log, codec: codec, ignored: ignored, categories: categories, own: make(map[string]bool)}
	for _, category := range categories {
		v.own[category] = true
	}
	return v
}

// filter returns the filter for events of some types, and for those that the program does not know.
func (v *vocabulary) filter(types []string) eventstore.Filter {
	f := eventstore.Filter{Types: types}
	if _, ok := v.log.(eventstore.ContentLister); !ok {
		return f
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	f.Others = &eventstore.Others{Known: slices.Concat(v.codec.TypeNames(), v.ignored)}
	for category, own := range v.own {
		if !own {
			f.Others.Except = append(f.Others.Except, category)
		}
	}
	return f
}

// isForeign reports whether an event is of a type that the program neither knows nor has to.
func (v *vocabulary) isForeign(ctx context.Context, e Recorded) (bool, error) {
	switch {
	case v.codec.Knows(e.Type):
		return false, nil
	case strings.HasPrefix(e.Type, "$") || slices.Contains(v.ignored, e.Type):
		return true, nil
	}
	own, err := v.owns(ctx, eventstore.Category(e.Stream))
	return !own, err
}

// pick returns the events that are not foreign.
func (v *vocabulary) pick(ctx context.Context, events []eventstore.RecordedEvent) (_ []eventstore.RecordedEvent, err error) {
	events = slices.DeleteFunc(events, func(e eventstore.RecordedEvent) bool {
		foreign, failed := v.isForeign(ctx, &e)
		if failed != nil {
			err = failed
		}
		return foreign
	})
	return events, err
}

// owns reports whether a category, of which there are events, is the program's.
func (v *vocabulary) owns(ctx context.Context, category string) (bool, error) {
	v.mu.Lock()
	own, seen := v.own[category]
	v.mu.Unlock()
	if seen || v.categories != nil {
		return own, nil
	}
	if _, err := v.learn(ctx); err != nil {
		return false, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.own[category], nil
}

// learn looks at what there is in the log.
func (v *vocabulary) learn(ctx context.Context) ([]eventstore.Content, error) {
	lister, ok := v.log.(eventstore.ContentLister)
	if !ok {
		return nil, nil
	}
	contents, err := lister.Contents(ctx)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range contents {
		if v.categories == nil && !strings.HasPrefix(c.Type, "$") {
			v.own[c.Category] = v.own[c.Category] || v.codec.Knows(c.Type)
		}
	}
	return contents, nil
}

// check returns *UnknownTypesError for a log that has events which the program must know and does
// not.
func (v *vocabulary) check(ctx context.Context) error {
	contents, err := v.learn(ctx)
	if err != nil {
		return fmt.Errorf("look at what is in the log: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	var unknown []UnknownType
	for _, c := range contents {
		if v.codec.Knows(c.Type) || strings.HasPrefix(c.Type, "$") || slices.Contains(v.ignored, c.Type) || !v.own[c.Category] {
			continue
		}
		i := slices.IndexFunc(unknown, func(t UnknownType) bool { return t.Type == c.Type })
		if i < 0 {
			i, unknown = len(unknown), append(unknown, UnknownType{Type: c.Type, First: c.First})
		}
		unknown[i].Events += c.Events
	}
	if len(unknown) > 0 {
		return &UnknownTypesError{Types: unknown}
	}
	return nil
}
