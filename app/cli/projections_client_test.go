package cli

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// testProgram has nothing in its environment. What it prints to stderr goes to said.
func testProgram(said io.Writer) *Program {
	return &Program{App: testApp, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: said, Getenv: func(string) string { return "" }}
}

// TestWhatAServerRefuses is told in its words, with an exit code of ours.
func TestWhatAServerRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		exit   int
		want   string
	}{
		{400, `{"title":"So not","detail":"keep is -1","hint":"Correct it."}`, ExitUsage, "error: the server answered 400: keep is -1\nhint: Correct it.\n"},
		{404, `{"title":"None such"}`, ExitNotFound, "error: the server answered 404: None such\n"},
		{409, `{"detail":"a rebuild is running"}`, ExitConflict, "error: the server answered 409: a rebuild is running\n"},
		{502, `<html>`, ExitFailure, "error: the server answered 502: Bad Gateway\n"},
		{503, `{}`, ExitUnavailable, "error: the server answered 503: Service Unavailable\n"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		var said strings.Builder
		exit := testProgram(&said).Run(t.Context(), []string{"projections", "rebuild", "orders", "--server", server.URL})
		server.Close()
		if exit != c.exit || said.String() != c.want {
			t.Errorf("for %d %s: exit code %d, %q, want %d, %q", c.status, c.body, exit, said.String(), c.exit, c.want)
		}
	}
}

// TestNoRedirectIsFollowed: a write would become a GET that is taken for done, and headers would go to whom nobody named.
func TestNoRedirectIsFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s came, with X-Token %q", r.Method, r.URL, r.Header.Get("X-Token"))
		_, _ = io.WriteString(w, `{}`)
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/new", http.StatusMovedPermanently))
	defer server.Close()
	for _, line := range []string{
		"subscriptions delete jobs --yes", "projections cancel 7b0f7f6e-6cf5-4d5f-a7c1-2c8b6f0e3f11", "webhooks disable acme", "commands run note.touch 1",
	} {
		var said strings.Builder
		exit := testProgram(&said).Run(t.Context(), append(strings.Fields(line), "--server", server.URL, "--header", "X-Token=secret"))
		if want := "error: the server answered 301: it sends us to " + elsewhere.URL + "/new\n"; exit != ExitFailure || !strings.Contains(said.String(), want) {
			t.Errorf("%s: exit code %d, %s; want %d, %s", line, exit, said.String(), ExitFailure, want)
		}
		// Who runs a command again needs the key that was made up, if what became of it is unknown.
		if strings.HasPrefix(line, "commands") != strings.Contains(said.String(), "the key of this command is ") {
			t.Errorf("%s said %s", line, said.String())
		}
	}
}

func TestAnInterruptIsNoServerThatIsDown(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else it does not see that who asks has gone
		cancel(ErrInterrupted)
		<-r.Context().Done()
	}))
	defer server.Close()
	var said strings.Builder
	exit := testProgram(&said).Run(ctx, []string{"commands", "run", "note.touch", "--server", server.URL})
	if exit != ExitInterrupted || !strings.HasPrefix(said.String(), "the key of this command is ") || !strings.HasSuffix(said.String(), "\ninterrupted\n") {
		t.Errorf("exit code %d, %s", exit, said.String())
	}
}
