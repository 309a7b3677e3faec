package main

import (
	"fmt"
	"slices"
	"strings"
)

// report tells what went wrong, if anything did, and returns the exit code.
func (a *app) report(err error) int {
	code := exitCode(err)
	switch code {
	case exitOK:
		return code
	case exitInterrupted:
		fmt.Fprintln(a.stderr, "interrupted")
	default:
		fmt.Fprintln(a.stderr, "error:", message(err))
	}
	if hint := hintFor(err); hint != "" {
		fmt.Fprintln(a.stderr, "hint:", hint)
	}
	return code
}

// message is the text of an error without the lines that it has already: a connection that is tried
// with and without TLS fails twice for the same reason.
func message(err error) string {
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(err.Error())) {
		if line = strings.TrimRight(line, "\n"); line == "" || !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
