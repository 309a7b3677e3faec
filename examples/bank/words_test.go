package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app/cli"
)

// ofAnother is a command line of another program than the bank, or a variable of its environment.
var ofAnother = regexp.MustCompile(`(?i)\brecount [a-z-]|\{program\}|\$RECOUNT_`)

// TestTheProgramIsCalledBank in all that it says of itself: help, errors with their hints, and pages of problems.
func TestTheProgramIsCalledBank(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	prog := &cli.Program{
		App: bank(), Stdin: strings.NewReader(""), Stdout: &said, Stderr: &said,
		Getenv: func(name string) string { return map[string]string{"BANK_DATA": t.TempDir()}[name] },
	}
	commands := 0
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		commands++
		cmd.SetOut(&said)
		if err := cmd.Help(); err != nil {
			t.Error(err)
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(prog.Command())
	for _, line := range []string{"serve", "projections rebuild", "projections ls", "streams show account-ada", "migrate status", "serv"} {
		if prog.Run(t.Context(), strings.Fields(line)) == cli.ExitOK {
			t.Errorf("bank %s ended well, where there is no database", line)
		}
	}
	for _, p := range bank().Problems() {
		said.WriteString(p.Kind.Title + "\n" + p.Kind.Meaning + "\n" + p.Kind.Fix + "\n")
	}
	if commands < 30 || !strings.Contains(said.String(), "bank projections rebuild") || !strings.Contains(said.String(), "[$BANK_DATABASE, $DATABASE_URL]") {
		t.Errorf("of %d commands there is too little:\n%s", commands, &said)
	}
	for line := range strings.Lines(said.String()) {
		if ofAnother.MatchString(line) {
			t.Errorf("the bank says %q", line)
		}
	}
}
