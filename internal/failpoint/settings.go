package failpoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Error is what Fail returns where RECOUNT_FAILPOINTS says so.
type Error struct{ Point Point }

func (e *Error) Error() string { return "failpoint " + string(e.Point) }

// action is what happens at a point.
type action string

const (
	kill  action = "kill"
	stop  action = "stop"
	delay action = "delay"
	fail  action = "error"
)

// setting is one part of RECOUNT_FAILPOINTS.
type setting struct {
	point  Point
	action action
	delay  time.Duration
	// at is the hit that it happens at, from 1; 0: at every one.
	at int64
}

// parseSettings reads RECOUNT_FAILPOINTS.
func parseSettings(text string) (settings []setting, err error) {
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		s, err := parseSetting(part)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		if slices.ContainsFunc(settings, func(other setting) bool { return other.point == s.point }) {
			return nil, fmt.Errorf("%q: the point has a setting already", part)
		}
		settings = append(settings, s)
	}
	return settings, nil
}

func parseSetting(text string) (s setting, err error) {
	name, what, ok := strings.Cut(text, "=")
	if !ok {
		return s, fmt.Errorf("write it like append/committed=kill@37")
	}
	i := slices.IndexFunc(points, func(p PointInfo) bool { return string(p.Name) == name })
	if i < 0 {
		return s, fmt.Errorf("there is no point %q", name)
	}
	s.point = points[i].Name
	what, at, limited := strings.Cut(what, "@")
	if limited {
		if s.at, err = strconv.ParseInt(at, 10, 64); err != nil || s.at < 1 {
			return s, fmt.Errorf("%q is not the number of a hit, from 1", at)
		}
	}
	word, pause, hasPause := strings.Cut(what, ":")
	s.action = action(word)
	switch s.action {
	case kill, stop:
	case delay:
		if s.delay, err = time.ParseDuration(pause); err != nil || s.delay <= 0 {
			return s, fmt.Errorf("a delay needs its length, like delay:20ms")
		}
		return s, nil
	case fail:
		if !points[i].Fails {
			return s, fmt.Errorf("nothing can fail at this point")
		}
	default:
		return s, fmt.Errorf("%q is no action; there are kill, stop, delay:20ms and error", word)
	}
	if hasPause {
		return s, fmt.Errorf("%s takes no argument", s.action)
	}
	return s, nil
}
