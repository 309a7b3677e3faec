package scaffold_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/app/scaffold"
)

// TestANewServiceWorks: what new and gen write is formatted, compiles, passes its tests without PostgreSQL,
// and serves.
func TestANewServiceWorks(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a program")
	}
	clone, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	recount(t, cli.ExitOK, "new", "tickets", "--module", "example.org/tickets", "--recount", clone)
	if entries, err := os.ReadDir("tickets"); err != nil || len(entries) > 7 {
		t.Errorf("%d entries, %v; want main, README, Makefile, .gitignore, the module and go.mod with go.sum", len(entries), err)
	}
	recount(t, cli.ExitUsage, "new", "tickets", "--recount", clone)
	t.Chdir("tickets")
	for _, args := range []string{
		"gen event note Archived reason:string",
		"gen command note Archive reason:string --event Archived",
		"gen command note Touch",
		"gen projection note note_history",
		"gen aggregate invoice",
	} {
		recount(t, cli.ExitOK, strings.Fields(args)...)
		recount(t, cli.ExitUsage, strings.Fields(args)...) // it is there now
	}
	for _, args := range []string{"gen event note archived", "gen event note Sent to", "gen event nowhere Sent", "gen aggregate two-words", "gen projection note Note"} {
		recount(t, cli.ExitUsage, strings.Fields(args)...)
	}
	if out := run(t, "gofmt", "-l", "."); out != "" {
		t.Errorf("not formatted: %s", out)
	}
	run(t, "go", "vet", "./...")
	run(t, "go", "test", "./...")
	run(t, "go", "build", "-o", "tickets", ".")
	serves(t)
}

// recount runs a command line of the program that has the commands.
func recount(t *testing.T, want int, args ...string) {
	t.Helper()
	var said strings.Builder
	prog := cli.New(app.App{Name: "recount"}, scaffold.Extension())
	prog.Stdout, prog.Stderr = io.Discard, &said
	if code := prog.Run(t.Context(), args); code != want {
		t.Fatalf("recount %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, want, said.String())
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// serves runs the service on a PostgreSQL of its own, and makes a note.
func serves(t *testing.T) {
	t.Helper()
	server := exec.CommandContext(t.Context(), "./tickets", "dev", "--fresh", "--listen", "127.0.0.1:0", "--admin", "off")
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	said, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	address := regexp.MustCompile(`API +(http://\S+)`)
	for lines := bufio.NewScanner(said); lines.Scan(); {
		m := address.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		resp, err := http.Post(m[1]+"/v1/notes", "application/json", strings.NewReader(`{"id":"1","text":"hello"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusCreated || resp.Header.Get("Location") != "/v1/notes/1" {
			t.Errorf("POST /v1/notes = %d, Location %q", resp.StatusCode, resp.Header.Get("Location"))
		}
		if err := server.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, said)
		if err := server.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
		return
	}
	t.Fatalf("the server did not say where it is: %v", server.Wait())
}
