package httpapi

import (
	"maps"
	"net/url"
	"slices"

	"github.com/gorilla/mux"
)

// pathVars are the variable parts of a path by name, decoded and checked: 1 to
// 512 bytes of UTF-8 without control characters.
type pathVars map[string]string

func (x *exchange) pathVars() (pathVars, error) {
	vars := make(pathVars)
	for name, escaped := range mux.Vars(x.r) {
		value, err := url.PathUnescape(escaped)
		fault := "must be percent-encoded correctly"
		if err == nil {
			fault = invalidText(value)
		}
		if fault != "" {
			return nil, invalidPath(name, x.route, fault)
		}
		vars[name] = value
	}
	return vars, nil
}

func invalidPath(name, path, fault string) *Problem {
	return kindInvalidPath.Problem("{"+name+"} in "+path+" "+fault+".").withParameter(name, fault)
}

// list returns the values in the order of their names.
func (v pathVars) list() []string {
	values := make([]string, 0, len(v))
	for _, name := range slices.Sorted(maps.Keys(v)) {
		values = append(values, v[name])
	}
	return values
}
