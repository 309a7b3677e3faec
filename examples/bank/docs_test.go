package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentsShowThisProgram: the Go that README.md, docs/service.md and docs/sagas.md show is in the bank, or in what they
// name.
func TestDocumentsShowThisProgram(t *testing.T) {
	t.Parallel()
	source := ""
	for _, name := range []string{"main.go", "main_test.go", "accounts/account.go", "accounts/module.go", "accounts/readmodels.go", "accounts/alerts.go", "../../app/example_test.go", "../../app/example_saga_test.go", "../process/main.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source += string(text)
	}
	for _, name := range []string{"../../README.md", "../../docs/service.md", "../../docs/sagas.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(text, -1)
		if len(blocks) == 0 {
			t.Errorf("%s shows no program", name)
		}
		for _, block := range blocks {
			for part := range strings.SplitSeq(string(block[1]), "…\n") {
				if !strings.Contains(source, strings.TrimSpace(part)) {
					t.Errorf("%s shows what is not in the program:\n%s", name, part)
				}
			}
		}
	}
}
