package main

import (
	"context"
	"log"
	"os"
	"strings"
	"testing"

	"github.com/57528e99/recount/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func Example() {
	db, done := pgtest.Example("tour")
	defer done()
	if err := run(context.Background(), db.DSN); err != nil {
		log.Fatal(err)
	}
	// Output:
	// true command refused by stream "account-ada" at version 1: there is too little in the account
	// ada has 380 cents after 2 moves
}

// The README shows parts of this program; they must not grow apart.
func TestReadmeShowsThisProgram(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "```go\n")
	if !found {
		t.Fatal("README.md shows no program")
	}
	code, _, _ := strings.Cut(rest, "```")
	for _, part := range strings.Split(code, "\n…\n") {
		if !strings.Contains(string(program), strings.TrimSpace(part)) {
			t.Errorf("README.md shows what is not in main.go:\n%s", part)
		}
	}
}
