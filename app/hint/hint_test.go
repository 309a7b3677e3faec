package hint_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

const program hint.Program = "recount"

// TestEveryReasonHasWords, with all that there is to fill in: above all, the name of the program.
func TestEveryReasonHasWords(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../../projections/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if reason, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(reason.Names[0].Name, "Reason") {
			literal := reason.Values[0].(*ast.BasicLit)
			code, err := strconv.Unquote(literal.Value)
			if text := hint.Program("bank").In(code, "orders", ""); err != nil || text == code || strings.ContainsAny(text, "{}") || strings.Contains(text, "recount ") {
				t.Errorf("%s is said in the words %q", literal.Value, text)
			}
			found++
		}
		return true
	})
	if found < 15 {
		t.Errorf("%d reasons were found, that cannot be all", found)
	}
}

func TestABusyProjectionsOperationCanBeCancelled(t *testing.T) {
	t.Parallel()
	const want = "wait for it, or cancel it: recount projections cancel 7 --schema tickets"
	err := eventstore.WithReason(&operations.BusyError{}, "operation-running", "7", "tickets")
	if got := program.Of(fmt.Errorf("verify: %w", err), ""); got != want {
		t.Errorf("hint = %q, want %q", got, want)
	}
}

func TestWordsNameASchemaOfOnesOwn(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]string{
		"":        "`recount projections resume orders`",
		"recount": "`recount projections resume orders`",
		"tickets": "`recount projections resume orders --schema tickets`",
	} {
		if got := program.In("event-not-applied", "orders", schema); !strings.Contains(got, want) {
			t.Errorf("hint in schema %s = %q, want %q", schema, got, want)
		}
	}
}
