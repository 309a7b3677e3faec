package cli

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/57528e99/recount/delivery"
)

// TestWhatIsNotAcknowledgedIsTold, by the exit code too: somebody else may have the event.
func TestWhatIsNotAcknowledgedIsTold(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/pull") {
			_, _ = io.WriteString(w, `{"deliveries":[{"token":"t1","event":{"stream":"note-1","type":"Touched","data":{}}},
				{"token":"t2","event":{"stream":"note-2","type":"Touched","data":{}}}]}`)
			return
		}
		_, _ = io.WriteString(w, `{"items":[{"token":"t1","outcome":"settled"},{"token":"t2","outcome":"overtaken"}]}`)
	}))
	defer server.Close()
	var said strings.Builder
	exit := testProgram(&said).Run(t.Context(), []string{"subscriptions", "pull", "jobs", "--ack", "--server", server.URL})
	if want := "error: 1 of 2 events were not acknowledged: t2 is overtaken\n"; exit != ExitConflict || !strings.HasPrefix(said.String(), want) {
		t.Errorf("exit code %d, %s; want %d, %s", exit, said.String(), ExitConflict, want)
	}
}

// TestACommandEndsWithWhatItRuns: what it leaves running is not waited for, and nothing of one that is cancelled goes on.
func TestACommandEndsWithWhatItRuns(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	e, err := delivery.ParseEvent([]byte(`{"stream":"note-1","type":"Touched","data":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	var left strings.Builder
	prog := testProgram(&left)
	if err := prog.execFor("jobs", "sleep 600 & echo $! >&2")(t.Context(), e); err != nil {
		t.Errorf("a command that leaves another one running: %v", err)
	}
	if id, err := strconv.Atoi(strings.TrimSpace(left.String())); err != nil || syscall.Kill(id, syscall.SIGKILL) != nil {
		t.Errorf("it left %q, which is no process that runs", left.String())
	}
	prog.Stdout = write // which what runs keeps open
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- prog.execFor("jobs", "sleep 600 & echo begun; wait")(ctx, e) }()
	begun := make([]byte, len("begun\n"))
	if _, err := io.ReadFull(read, begun); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("a command that was killed is done")
	}
	_ = write.Close()
	if rest, err := io.ReadAll(read); err != nil || len(rest) > 0 {
		t.Errorf("it said %q, %v", rest, err)
	}
}
