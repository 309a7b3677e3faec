package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/eventstore"
)

// Check returns all mistakes of what a program declares that has a codec: in definitions and handlers, names that are
// given twice, and filters that let events through to a handler that does not take them.
func Check(codec *eventstore.Codec, all ...Subscription) error {
	_, err := handlersOf(codec, nil, all)
	return err
}

// handlersOf returns the handlers by name, those that no subscription is declared with too. The error is that of Check.
func handlersOf(codec *eventstore.Codec, others []*Handler, all []Subscription) (map[string]*Handler, error) {
	var mistakes []error
	handlers := make(map[string]*Handler)
	for _, s := range all {
		others = append(others[:len(others):len(others)], s.Handler)
	}
	for _, h := range others {
		switch {
		case h == nil, handlers[h.name] == h:
		case handlers[h.name] != nil:
			mistakes = append(mistakes, fmt.Errorf("handler %q: there are two of that name", h.name))
		default:
			handlers[h.name] = h
			mistakes = append(mistakes, h.Check(codec))
		}
	}
	names := make(map[string]bool)
	for _, s := range all {
		if h := s.Handler; h != nil && len(s.Filter) == 0 && h.takes != nil && len(codec.TypeNamesOf(h.takes)) == 0 {
			continue // there is no filter for what is missing, which was told
		}
		d, err := s.definition(codec).Checked()
		switch {
		case err != nil:
		case names[d.Name]:
			err = fmt.Errorf("subscription %q: there are two of that name", d.Name)
		case d.Target.Handler == nil:
			if s.Handler != nil {
				err = fmt.Errorf("subscription %q: its handler %q gets nothing, as there is another target", d.Name, s.Handler.name)
			}
		case handlers[d.Target.Handler.Name] == nil:
			err = fmt.Errorf("subscription %q: the program has no handler %q", d.Name, d.Target.Handler.Name)
		case d.Transform != nil && !handlers[d.Target.Handler.Name].raw:
			err = fmt.Errorf("subscription %q: %w", d.Name, errDecodes)
		default:
			err = handlers[d.Target.Handler.Name].checkFilter(codec, d)
		}
		names[d.Name] = true
		mistakes = append(mistakes, err)
	}
	return handlers, errors.Join(mistakes...)
}

// errDecodes says that a Transform is not for every handler.
var errDecodes = errors.New("its handler decodes events, which a transform makes something else of: use HandleRaw or HandleTxRaw, or no transform")

// checkFilter reports a filter that lets events through that the handler does not take.
func (h *Handler) checkFilter(codec *eventstore.Codec, d Definition) error {
	if h.takes == nil {
		return nil
	}
	var types []string
	if d.Filter != nil {
		p, err := pattern.Compile(d.Filter)
		if err != nil {
			return err
		}
		types = p.Types()
	}
	own := h.filter(codec)
	if types == nil {
		return fmt.Errorf("subscription %q: its filter must name the types of events that its handler takes, as %s does", d.Name, own)
	}
	var names struct{ Type []string }
	if err := json.Unmarshal(own, &names); err != nil {
		return err
	}
	for _, name := range types {
		if !slices.Contains(names.Type, name) {
			return fmt.Errorf("subscription %q: its handler takes no event of type %q: it takes %s", d.Name, name, strings.Join(names.Type, ", "))
		}
	}
	return nil
}
