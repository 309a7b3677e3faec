package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// recipes are the pages that TestRecipes runs.
const recipes = "../../docs/recipes"

// recipeBlock is a block of commands, with what they print if that follows it.
var recipeBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$(?:\n```(?:json|text)?\n(.*?)^```$)?")

// TestRecipes runs the commands of all recipes, in the order of their names, on one server. Those of a recipe share a directory, which has
// the data of the server as .recount, and see it as localhost:8080. Commands that a block of output follows are run until they print that: what they do must be the same if it is
// done again, and a recipe says nothing of waiting. All others must end well, once. In the output … stands for what varies in a line, on a
// line of its own for any lines, and a blank for one or more.
func TestRecipes(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"curl", "psql", "sh"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	index, err := os.ReadFile(filepath.Join(recipes, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(recipes, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	data := dataDir(t)
	dev, url := startDev(t, "--data", data, "--listen", "127.0.0.1:0")
	database := dev.await(t, `database +psql '(\S+)'`)[1]
	for _, page := range pages {
		name := filepath.Base(page)
		if name == "README.md" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if !bytes.Contains(index, []byte("]("+name+")")) {
				t.Errorf("README.md has no link to it")
			}
			runRecipe(t, page, url, database, data)
		})
	}
	dev.stopGently(t)
}

func runRecipe(t *testing.T, page, url, database, data string) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := recipeBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 || strings.Count(string(text), "```sh") != len(blocks) {
		t.Fatalf("%d blocks of commands that can be run, want as many as there are, and at least one", len(blocks))
	}
	dir, hosts := t.TempDir(), strings.NewReplacer("localhost:8080", strings.TrimPrefix(url, "http://"), "localhost:8082", freeAddress(t))
	if err := os.Symlink(data, filepath.Join(dir, ".recount")); err != nil {
		t.Fatal(err)
	}
	for _, block := range blocks {
		commands, want := hosts.Replace(block[1]), block[2]
		printed := regexp.MustCompile(outputPattern(want))
		var out string
		done := false
		for deadline := time.Now().Add(patience); !done && time.Now().Before(deadline) && t.Context().Err() == nil; {
			out, err = runCommands(t, dir, commands, "RECOUNT_SERVER="+url, "database="+database)
			out = strings.ReplaceAll(out, strings.TrimPrefix(url, "http://"), "localhost:8080")
			done = want == "" || err == nil && printed.MatchString(out)
		}
		switch {
		case err != nil:
			t.Fatalf("%v:\n%s\n%s", err, commands, out)
		case !done:
			t.Fatalf("%s\nprints\n%s\nwant\n%s", commands, out, want)
		}
	}
}

// freeAddress returns an address of this machine that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// runCommands has a shell run commands. It returns what they print. What they leave running ends with the test.
func runCommands(t *testing.T, dir, commands string, env ...string) (string, error) {
	out, err := os.CreateTemp(t.TempDir(), "out") // a pipe would wait for what is left running
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", commands)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = append(cleanEnv(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	failed := cmd.Wait()
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text), failed
}

// outputPattern returns the regular expression of what a block of output stands for.
func outputPattern(text string) string {
	pattern := regexp.QuoteMeta(text)
	pattern = strings.ReplaceAll("\n"+pattern, "\n…\n", "\n(?s:.*)")
	pattern = regexp.MustCompile(` *… *`).ReplaceAllString(pattern, ".*")
	pattern = regexp.MustCompile(` +`).ReplaceAllString(pattern, " +")
	return `^` + strings.TrimPrefix(pattern, "\n") + `$`
}
