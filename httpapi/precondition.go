package httpapi

import (
	"strconv"

	"github.com/57528e99/recount/eventstore"
)

// precondition reads what a command demands of its stream: If-Match with a
// version or *, If-None-Match with *, or nothing.
func (x *exchange) precondition() (eventstore.ExpectedVersion, error) {
	match, err := x.singleHeader("If-Match")
	if err != nil {
		return eventstore.Any, err
	}
	noneMatch, err := x.singleHeader("If-None-Match")
	if err != nil {
		return eventstore.Any, err
	}
	switch {
	case match != "" && noneMatch != "":
		return eventstore.Any, InvalidHeader("If-None-Match", "must not be given beside If-Match")
	case match == "*":
		return eventstore.StreamExists, nil
	case match != "":
		version, ok := parseVersionTag(match)
		if !ok {
			return eventstore.Any, InvalidHeader("If-Match",
				`must be * or one ETag of a command's answer as it was, in quotes and without W/, e.g. "7"`)
		}
		return eventstore.Exact(version), nil
	case noneMatch == "*":
		return eventstore.NoStream, nil
	case noneMatch != "":
		return eventstore.Any, InvalidHeader("If-None-Match", "must be *, which demands that there is nothing yet")
	}
	return eventstore.Any, nil
}

// versionTag returns the strong ETag of a stream version.
func versionTag(version int64) string {
	return `"` + strconv.FormatInt(version, 10) + `"`
}

// parseVersionTag reads what versionTag made, and nothing else.
func parseVersionTag(tag string) (version int64, ok bool) {
	text, err := unquote(tag)
	if err != nil {
		return 0, false
	}
	version, err = strconv.ParseInt(text, 10, 64)
	return version, err == nil && version >= 0 && versionTag(version) == tag
}
