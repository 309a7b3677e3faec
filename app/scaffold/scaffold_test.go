package scaffold_test

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
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
	dir := t.TempDir()
	clone, err := filepath.Rel(dir, cloneHere(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	recount(t, cli.ExitOK, "new", "tickets", "--module", "example.org/tickets", "--recount", clone)
	if entries, err := os.ReadDir("tickets"); err != nil || len(entries) > 7 {
		t.Errorf("%d entries, %v; want main, README, Makefile, .gitignore, the module and go.mod with go.sum", len(entries), err)
	}
	recount(t, cli.ExitUsage, "new", "tickets", "--recount", clone)
	recount(t, cli.ExitUsage, "new", "Others", "--recount", clone)
	recount(t, cli.ExitUsage, "new", "others", "--recount", "tickets") // which is no clone of Recount
	recount(t, cli.ExitFailure, "new", "others", "--recount", clone, "--module", "no module")
	if left, err := os.ReadDir("."); err != nil || len(left) != 1 {
		t.Errorf("%v, %v is there; want nothing of what failed", left, err)
	}
	t.Chdir("tickets")
	for _, args := range []string{
		"gen event note Archived reason:string due:time tags:[]string by:*Row",
		"gen command note Archive reason:string due:time tags:[]string by:*Row --event Archived",
		"gen command note Touch",
		"gen projection note note_history",
		"gen aggregate invoice",
	} {
		recount(t, cli.ExitOK, strings.Fields(args)...)
		recount(t, cli.ExitUsage, strings.Fields(args)...) // it is there now
	}
	if out := run(t, "gofmt", "-l", "."); out != "" {
		t.Errorf("not formatted: %s", out)
	}
	run(t, "go", "vet", "./...")
	run(t, "go", "test", "./...")
	run(t, "go", "build", "-o", "tickets", ".")
	serves(t)
}

// cloneHere is the folder of the clone that is tested.
func cloneHere(t *testing.T) string {
	t.Helper()
	clone, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return clone
}

// TestANewServiceIsFitToRead: no line is too long, also after something was added, and what it says of itself
// begins with what it is.
func TestANewServiceIsFitToRead(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := scaffold.New("tickets", "example.org/tickets", "tickets", goMod); err != nil {
		t.Fatal(err)
	}
	t.Chdir("tickets")
	fields := "one:string two:string three:string four:string five:string six:[]time"
	for _, err := range []error{
		scaffold.Aggregate(".", "example.org/tickets", "invoice"),
		scaffold.Aggregate(".", "example.org/tickets", "customer"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for n, name := range []string{"Archived", "Restored", "Forgotten"} {
		recount(t, cli.ExitOK, strings.Fields("gen event note "+name+" "+fields)...)
		recount(t, cli.ExitOK, strings.Fields(fmt.Sprintf("gen command note Make%s --event %s %s", name, name, fields))...)
		recount(t, cli.ExitOK, "gen", "projection", "note", fmt.Sprintf("history_of_notes_in_all_details_%d", n))
	}
	main, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\t\"example.org/tickets/customer\"\n\t\"example.org/tickets/invoice\"\n\t\"example.org/tickets/note\"\n",
		"\t\tModules: []app.Module{\n\t\t\tnote.Module(),\n\t\t\tinvoice.Module(),\n\t\t\tcustomer.Module(),\n\t\t},\n",
	} {
		if !strings.Contains(string(main), want) {
			t.Errorf("main.go is\n%s\nwant\n%s", main, want)
		}
	}
	if all := tree(t); !strings.Contains(all, "Six   []time.Time") {
		t.Errorf("the type time is not that of Go:\n%s", all)
	}
	for line := range strings.Lines(tree(t)) {
		if line = strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "    "); len(line) > 100 {
			t.Errorf("a line has %d columns:\n%s", len(line), line)
		}
	}
	var help strings.Builder
	prog := cli.New(app.App{Name: "tickets"})
	prog.Stdout = &help
	if prog.Run(t.Context(), []string{"--help"}); !strings.HasPrefix(help.String(), "An event-sourced service on PostgreSQL: events are kept") {
		t.Errorf("the help is\n%s", help.String())
	}
}

// goMod completes a service with what is enough to add to it.
func goMod(dir string) error {
	return os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module tickets\n"), 0o644)
}

// TestWhatCannotBeMadeIsRefused: the exit code says that the command was wrong, and no file changes.
func TestWhatCannotBeMadeIsRefused(t *testing.T) {
	clone := cloneHere(t)
	t.Chdir(t.TempDir())
	if err := scaffold.New("tickets", "tickets", "tickets", goMod); err != nil {
		t.Fatal(err)
	}
	t.Chdir("tickets")
	if err := os.CopyFS("apart", os.DirFS("note")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("apart/note.go")
	if err != nil {
		t.Fatal(err)
	}
	// A module that is not in the form that gen can add a projection to.
	if err := os.WriteFile("apart/note.go", []byte(strings.ReplaceAll(string(text), "Reads:", "Routes:")), 0o644); err != nil {
		t.Fatal(err)
	}
	before := tree(t)
	for _, args := range []string{
		"gen aggregate two-words", "gen aggregate note", "gen aggregate map", "gen aggregate type", "gen aggregate string",
		"gen aggregate app", "gen aggregate aggregate", "gen aggregate http", "gen aggregate main", "gen aggregate test", "gen aggregate row",
		"gen aggregate projection", // whose read model would be called as a package
		"gen aggregate vendor", "gen aggregate init", "gen aggregate documentation",
		"gen aggregate stream", "gen aggregate operation", "gen aggregate webhook", "gen projection note subscription_parked",
		"gen event nowhere Sent", "gen event note archived", "gen event note Created", "gen event note Module", "gen event note TestCreate",
		"gen event note Sent to", "gen event note Sent to:", "gen event note Sent to:[]", "gen event note Sent at:string",
		"gen event note Sent to:Nowhere", "gen event note Sent to:uuid.UUID", "gen event note Sent to:*error", "gen event note Sent to:map[int]string", "gen event note Sent to:text",
		"gen event note Sent evolve:bool", "gen event note Sent to:string to:string",
		"gen command note Create", "gen command note Note", "gen command note Archive --event Archived",
		"gen projection note Note", "gen projection note notes", "gen projection note rows", "gen projection note type",
		"gen projection apart history",
	} {
		said := recount(t, cli.ExitUsage, strings.Fields(args)...)
		words := strings.Fields(args)
		if strings.Contains(said, "{program}") || !strings.Contains(said, "see recount "+strings.Join(words[:2], " ")+" --help") {
			t.Errorf("recount %s: %s", args, said)
		}
		if after := tree(t); after != before {
			t.Fatalf("recount %s changed files", args)
		}
	}
	for _, args := range []string{
		"vendor", "time", "errors", "internal", "main", "test", "testdata", "net", "go", "select", "std",
		"tickets2 --module time", "tickets2 --module net/tickets",
	} {
		said := recount(t, cli.ExitUsage, append([]string{"new", "--recount", clone}, strings.Fields(args)...)...)
		if after := tree(t); after != before || !strings.Contains(said, "take another name") {
			t.Errorf("recount new %s said %s, or changed files", args, said)
		}
	}
	prog := cli.New(app.App{Name: "factory"}, scaffold.Extension())
	var said strings.Builder
	prog.Stderr = &said
	if prog.Run(t.Context(), strings.Fields("gen projection apart history")); !strings.Contains(said.String(), "factory new writes") {
		t.Errorf("%s; want the name of the program", said.String())
	}
}

// tree is what is in the files here.
func tree(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		fmt.Fprintln(&all, path)
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// recount runs a command line of the program that has the commands, and returns what it says.
func recount(t *testing.T, want int, args ...string) string {
	t.Helper()
	var said strings.Builder
	prog := cli.New(app.App{Name: "recount"}, scaffold.Extension())
	prog.Stdout, prog.Stderr = io.Discard, &said
	if code := prog.Run(t.Context(), args); code != want {
		t.Fatalf("recount %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, want, said.String())
	}
	return said.String()
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
