package httpapi

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/eventstore"
)

// Time is a business time in a body, such as "2011-12-09T12:50:00Z". It reads
// RFC 3339 with any offset, from year 1 to 9999 in UTC, and is kept as
// eventstore.Microseconds, as a time.Time in a body is. Its zero value is a time that was not given.
type Time struct {
	time  time.Time
	given bool
}

var errTime = errors.New(`must be a time of RFC 3339 between the years 1 and 9999, e.g. "2011-12-09T12:50:00Z"`)

// UnmarshalJSON reads a time.
func (t *Time) UnmarshalJSON(value []byte) error {
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return errTime
	}
	parsed, err := parseTime(string(text))
	if err != nil {
		return err
	}
	*t = Time{parsed, true}
	return nil
}

func parseTime(text string) (time.Time, error) {
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errTime
	}
	parsed = eventstore.Microseconds(parsed)
	// The offset may lead out of the years that can be written again. The zero
	// time is left out too: to most code it is no time.
	if parsed.IsZero() || parsed.Year() < 1 || parsed.Year() > 9999 {
		return time.Time{}, errTime
	}
	return parsed, nil
}

// Or returns the time, or now if none was given.
func (t Time) Or(now time.Time) time.Time {
	if !t.given {
		return eventstore.Microseconds(now)
	}
	return t.time
}
