package security_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/57528e99/recount/security"
)

// TestScope: what is decided of each stream and category. Everything that is not said is denied.
func TestScope(t *testing.T) {
	t.Parallel()
	scope := security.Scope{Categories: []string{"order"}, Prefixes: []string{"tenant-7-"}}
	may := func(p security.Principal, r security.Resource) bool {
		err := security.ByRole{}.Authorize(p, security.Read, r)
		var denied *security.Denied
		if err != nil && (!errors.As(err, &denied) || denied.Hint() == "" || denied.Error() == "") {
			t.Errorf("the error is %v, want a *Denied that says what it takes", err)
		}
		return err == nil
	}
	reader := security.Principal{Name: "ann", Roles: []security.Action{security.Read}, Scope: scope}
	for stream, want := range map[string]bool{
		"order-1": true, "order": true, "$$order-1": true, "tenant-7-x": true, "$$tenant-7-x": true,
		"orders-1": false, "orde-1": false, "tenant-7": false, "tenant-71-x": false, "tenant-8-x": false, "$audit": false, "$$$audit": false, "Order-1": false,
	} {
		if got := may(reader, security.Resource{Stream: stream}); got != want {
			if got {
				fmt.Printf("caught\t%s\t0\ta scope has no stream whose name only begins alike\n", t.Name())
			}
			t.Errorf("a scope of %+v has stream %s: %v", scope, stream, got)
		}
	}
	for category, want := range map[string]bool{"order": true, "orders": false, "tenant": false, "$audit": false} {
		if got := may(reader, security.Resource{Category: category}); got != want {
			t.Errorf("a scope of %+v has category %s: %v", scope, category, got)
		}
	}
	if may(reader, security.Resource{}) || !may(reader, security.Resource{Part: true}) {
		t.Error("a scope has all of the log, or no part of it")
	}
	for _, p := range []security.Principal{{Name: "nobody"}, {Name: "writer", Roles: []security.Action{security.Append, security.Command, security.Operate}}} {
		if may(p, security.Resource{Stream: "order-1"}) || may(p, security.Resource{Part: true}) {
			t.Errorf("%s may read", p.Name)
		}
	}
	for _, p := range []security.Principal{security.Trusted("boss"), {Roles: []security.Action{security.Read}}} {
		if !may(p, security.Resource{}) || !may(p, security.Resource{Stream: "$audit"}) {
			t.Errorf("%+v may not read everything", p)
		}
	}
	for _, wrong := range []security.Scope{
		{Categories: []string{""}}, {Categories: []string{"a-b"}}, {Categories: []string{"$audit"}}, {Categories: []string{"a\x00"}}, {Prefixes: []string{""}},
		{Prefixes: []string{"tenant-7"}}, {Prefixes: []string{"täg"}}, {Prefixes: []string{"$"}}, {Prefixes: make([]string, 101)}, {Prefixes: []string{strings.Repeat("-", 257)}},
	} {
		if wrong.Check() == nil {
			t.Errorf("scope %+v is taken", wrong)
		}
	}
}

// TestTokenText: a token is as long as another, and one letter that is wrong is seen.
func TestTokenText(t *testing.T) {
	t.Parallel()
	text, id := security.NewToken()
	if got, ok := security.TokenID(text); !ok || got != id || len(id) != 16 {
		t.Fatalf("TokenID(%s) = %s, %v, want %s", text, got, ok, id)
	}
	for i := range text {
		wrong := "a"
		if text[i] == 'a' {
			wrong = "b"
		}
		if _, ok := security.TokenID(text[:i] + wrong + text[i+1:]); ok {
			t.Errorf("a token with a wrong letter at %d is taken", i)
		}
		if _, ok := security.TokenID(text[:i] + text[i+1:]); ok {
			t.Errorf("a token without its letter at %d is taken", i)
		}
	}
	for _, other := range []string{"", "rct_", strings.ToUpper(text), text + "a", " " + text, strings.Repeat("ä", 1000)} {
		if _, ok := security.TokenID(other); ok {
			t.Errorf("%q is taken for a token", other)
		}
	}
	if security.TokenHash(text) == security.TokenHash(text[1:]) {
		t.Error("two texts have one hash")
	}
}
