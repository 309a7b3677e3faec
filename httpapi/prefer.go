package httpapi

import (
	"strconv"
	"strings"
	"time"
)

// preferences are what a client wishes of a read, see RFC 7240. Those that are
// unknown or make no sense are ignored, as it demands.
type preferences struct {
	// wait is how long to wait for the read model, if hasWait.
	wait    time.Duration
	hasWait bool
	// lenient prefers a stale answer to none.
	lenient bool
}

// parsePrefer reads the values of all Prefer headers. Of a preference given
// twice the first counts.
func parsePrefer(values []string) preferences {
	var p preferences
	seen := make(map[string]bool)
	for _, value := range values {
		for _, item := range splitUnquoted(value, ',') {
			name, text := preference(item)
			if seen[name] {
				continue
			}
			seen[name] = true
			switch name {
			case "wait":
				seconds, err := strconv.ParseUint(text, 10, 31)
				if err == nil {
					p.wait, p.hasWait = time.Duration(seconds)*time.Second, true
				}
			case "handling":
				p.lenient = strings.EqualFold(text, "lenient")
			}
		}
	}
	return p
}

// preference reads one preference; parameters behind a semicolon mean nothing
// to those we know.
func preference(item string) (name, value string) {
	item = splitUnquoted(item, ';')[0]
	name, value, _ = strings.Cut(item, "=")
	value = strings.TrimSpace(value)
	if text, err := unquote(value); err == nil {
		value = text
	}
	return strings.ToLower(strings.TrimSpace(name)), value
}

// splitUnquoted splits s at each separator that is not inside of quotes. It
// returns one part at least.
func splitUnquoted(s string, separator byte) []string {
	var parts []string
	begin, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == separator && !quoted:
			parts = append(parts, s[begin:i])
			begin = i + 1
		}
	}
	return append(parts, s[begin:])
}
