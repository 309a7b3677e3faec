package cli

import (
	"fmt"
	"slices"
	"strings"
)

// Report tells what went wrong, if anything did, and returns the exit code.
func (prog *Program) Report(err error) int {
	code := ExitCode(err)
	switch code {
	case ExitOK:
		return code
	case ExitInterrupted:
		fmt.Fprintln(prog.Stderr, "interrupted")
	default:
		fmt.Fprintln(prog.Stderr, "error:", prog.hints().Fill(message(err)))
	}
	if said := prog.hintFor(err); said != "" {
		fmt.Fprintln(prog.Stderr, "hint:", said)
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
