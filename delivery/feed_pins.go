package delivery

import (
	"slices"

	"github.com/57528e99/recount/eventstore"
)

// pins is the union of the types and categories that alone can match for several sources.
type pins struct {
	any                     bool
	allTypes, allCategories bool
	types, categories       []string
}

// maxPins bounds how many types or categories are looked for: many are most of the log.
const maxPins = 64

func (p *pins) add(s *source) {
	p.any = true
	p.allTypes = p.allTypes || s.types == nil
	p.allCategories = p.allCategories || s.categories == nil
	if !p.allTypes {
		p.types = append(p.types, s.types...)
	}
	if !p.allCategories {
		p.categories = append(p.categories, s.categories...)
	}
}

func (p *pins) filter() (f eventstore.Filter) {
	distinct := func(all bool, names []string) []string {
		slices.Sort(names)
		if names = slices.Compact(names); all || len(names) > maxPins {
			return nil
		}
		return names
	}
	if p.any {
		f.Types, f.Categories = distinct(p.allTypes, p.types), distinct(p.allCategories, p.categories)
	}
	return f
}

// covers reports whether a filter lets all through that can match for a source.
func covers(f eventstore.Filter, s *source) bool {
	in := func(wanted, let []string) bool {
		return len(let) == 0 || wanted != nil && !slices.ContainsFunc(wanted, func(name string) bool { return !slices.Contains(let, name) })
	}
	return in(s.types, f.Types) && in(s.categories, f.Categories)
}
