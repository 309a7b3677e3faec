// Package readme runs the commands of a README, so that it stays true: those of curl.
package readme

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/delivery/mail/inbox"
)

// block is one of commands, curl one that sends a request to a service for development.
var (
	block = regexp.MustCompile("(?s)```sh\n(.*?)```")
	curl  = regexp.MustCompile(`^curl (?:-X (\S+) )?'?localhost:8080([^ ']*)'?(?: -H '([^']*)')?(?: -d '([^']*)')?(?: +# (.*))?$`)
)

// Run sends what each curl of a file sends, one after another, and delivers what comes of it. All must be answered well, and have the text in
// `…` of the comment behind the command, if there is one.
func Run(t *testing.T, x *apptest.Test, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, commands := range block.FindAllSubmatch(text, -1) {
		for line := range strings.Lines(string(commands[1])) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "curl ") {
				continue
			}
			sent++
			send(t, x, line)
		}
	}
	if sent == 0 {
		t.Errorf("%s has no command that was run", file)
	}
}

func send(t *testing.T, x *apptest.Test, line string) {
	t.Helper()
	m := curl.FindStringSubmatch(line)
	if m == nil {
		t.Errorf("this is no curl as this package knows it: %s", line)
		return
	}
	method, path, header, body, comment := m[1], m[2], m[3], m[4], m[5]
	switch {
	case method != "":
	case body != "":
		method = "POST"
	default:
		method = "GET"
	}
	if body != "" && header != "Content-Type: application/json" {
		t.Errorf("it sends JSON, and does not say so: %s", line)
	}
	if path == inbox.Path { // which dev has
		if len(x.Mails()) == 0 {
			t.Errorf("%s: there are no mails", line)
		}
		return
	}
	w := x.Request(method, path, body)
	_, want, _ := strings.Cut(comment, "`")
	if want, _, _ = strings.Cut(want, "`"); w.Code >= 300 || !strings.Contains(w.Body.String(), want) {
		t.Errorf("%s: the answer is %d %s", line, w.Code, w.Body)
	}
	if err := x.Deliver(); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
}
