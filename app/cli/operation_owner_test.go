package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/operations"
)

func TestAnOperationThatNoProcessTakesIsToldOnce(t *testing.T) {
	t.Parallel()
	var watch ownerWatch
	start := time.Now()
	free := operations.Operation{State: operations.Running}
	owned := operations.Operation{State: operations.Running, Owner: "a process"}
	for _, c := range []struct {
		after time.Duration
		op    operations.Operation
		want  bool
	}{
		{0, free, false},
		{ownerPatience - 1, free, false},
		{ownerPatience, owned, false},
		{ownerPatience + 1, free, false}, // its process died
		{2 * ownerPatience, free, false},
		{2*ownerPatience + 1, free, true},
		{4 * ownerPatience, free, false},
	} {
		if got := watch.isLost(c.op, start.Add(c.after)); got != c.want {
			t.Errorf("after %s with the owner %q it says %v, want %v", c.after, c.op.Owner, got, c.want)
		}
	}
}

// operationServer answers all requests with one operation, and calls asked for each but the first.
func operationServer(t *testing.T, operation string, asked func()) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			asked()
		}
		_, _ = io.WriteString(w, operation)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestAnInterruptSaysWhatBecomesOfTheOperation, with commands that find it.
func TestAnInterruptSaysWhatBecomesOfTheOperation(t *testing.T) {
	t.Parallel()
	const id = "0198c0de-0000-7000-8000-000000000001"
	for owner, want := range map[string]string{
		"":          `hint: no process works on it, .* recount serve --roles projections starts one; `,
		"a process": `hint: the server goes on with it, recount projections show orders --server 'URL' says how far it is; `,
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		url := operationServer(t, fmt.Sprintf(`{"id":%q,"state":"running","owner":%q}`, id, owner), func() { cancel(ErrInterrupted) })
		said := new(strings.Builder)
		prog := &Program{App: testApp, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: said, Getenv: func(string) string { return "" }}
		if code := prog.Run(ctx, []string{"projections", "rebuild", "orders", "--server", url}); code != ExitInterrupted {
			t.Errorf("exit code %d, want %d", code, ExitInterrupted)
		}
		want += "recount projections cancel " + id + " --server 'URL' ends it\n$"
		if want = strings.ReplaceAll(want, "URL", url); !regexp.MustCompile(want).MatchString(said.String()) {
			t.Errorf("it said %q, want %q", said, want)
		}
	}
}

func TestProgressOfAnOperation(t *testing.T) {
	t.Parallel()
	at := operations.Progress{Phase: "reading", Position: 3, Target: 4, Events: 2}
	ended := at
	ended.Phase = "done"
	for _, c := range []struct {
		op   operations.Operation
		want string
	}{
		{operations.Operation{State: operations.Running, Owner: "a", Progress: at}, "reading, position 3 of 4, 2 events read, 0/s"},
		{operations.Operation{State: operations.Running, Progress: at}, "reading, position 3 of 4, 2 events read, 0/s, waiting for a process to go on with it"},
		{operations.Operation{State: operations.Running, Cancelling: true, Progress: at}, "reading, position 3 of 4, 2 events read, 0/s, being cancelled"},
		{operations.Operation{State: operations.Done, Progress: ended}, "done, 2 events read, 0/s"},
	} {
		if got := progressOf(c.op); got != c.want {
			t.Errorf("progressOf(%+v) = %q, want %q", c.op, got, c.want)
		}
	}
}
