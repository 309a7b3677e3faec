package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

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
		prog := &Program{App: testApp, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &said, Getenv: func(string) string { return "" }}
		exit := prog.Run(t.Context(), []string{"projections", "rebuild", "orders", "--server", server.URL})
		server.Close()
		if exit != c.exit || said.String() != c.want {
			t.Errorf("for %d %s: exit code %d, %q, want %d, %q", c.status, c.body, exit, said.String(), c.exit, c.want)
		}
	}
}
