package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/internal/pgtest"
	hostile "github.com/57528e99/recount/tests/hostile/shop"
	"github.com/57528e99/recount/tests/hostile/wire"
)

var (
	hostileRequests = flag.Int("hostile.requests", 3000, "how many requests TestHostileClient sends")
	hostileSeed     = flag.Uint64("hostile.seed", 1, "what decides which requests TestHostileClient sends")
)

// maxServerMemory bounds what a server may take at its worst, in MiB. It takes
// about 100, and several times as much with the race detector.
const maxServerMemory = 512

// TestHostileClient lets two servers of its own be attacked by many clients that
// know what each answer must be. `make hostile` sends many more requests than
// the default.
func TestHostileClient(t *testing.T) {
	t.Parallel()
	requests := *hostileRequests
	if testing.Short() {
		requests = min(requests, 500)
	}
	db := logtest.New(t)
	// One without projections beside it: what is sent twice at once goes to both.
	var servers []*process
	var urls []string
	for _, roles := range []string{"api,projections", "api"} {
		p := startProcess(t, "serve", "--database", db.DSN, "--roles", roles, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
		servers, urls = append(servers, p), append(urls, p.await(t, `"url":"(http://\S+?)"`)[1])
	}
	admin := adminOf(t, servers[0])

	report, err := hostile.Run(t.Context(), hostile.Config{URL: urls[0], Second: urls[1], Seed: *hostileSeed, Requests: requests,
		Failed: func(*wire.Failure) { t.Log(evidence(t.Context(), db, admin)) }})
	t.Logf("%d requests in %v: %v; %d orders, %d returns; problems: %s",
		report.Requests, report.Took, report.Answers, report.Orders, report.Returns, strings.Join(report.Types, " "))
	if err != nil {
		t.Fatalf("%v\nagain: go test ./cmd/recount -run TestHostileClient -hostile.seed %d -hostile.requests %d", err, *hostileSeed, requests)
	}
	for _, p := range servers {
		if memory := peakMemory(t, p.cmd.Process.Pid); memory > maxServerMemory {
			t.Errorf("a server took %d MiB, want %d at most", memory, maxServerMemory)
		}
	}
	checkProjections(t, db)
	for _, p := range servers {
		p.stopGently(t)
		text, _ := p.stderr.read()
		for line := range strings.Lines(text) {
			if strings.Contains(line, `"level":"error"`) || strings.Contains(line, "panic") {
				t.Errorf("a server said: %s", line)
			}
		}
	}
}

// peakMemory returns the most memory that a process has had, in MiB; 0 where the
// system does not tell.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Logf("the memory of the server is not known: %v", err)
		return 0
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s has no VmHWM", text)
	}
	kilobytes, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a server took %d MiB at its worst", kilobytes>>10)
	return kilobytes >> 10
}

// checkProjections compares every read model with a fresh fold of the log.
func checkProjections(t *testing.T, db *pgtest.DB) {
	t.Helper()
	said := newTranscript()
	a := program(cli.Program{Stdin: strings.NewReader(""), Stdout: said, Stderr: said, Getenv: func(string) string { return "" }})
	if code := a.Run(t.Context(), []string{"projections", "verify", "--all", "--database", db.DSN}); code != cli.ExitOK {
		text, _ := said.read()
		t.Errorf("projections verify ends with %d:\n%s", code, text)
	}
}
