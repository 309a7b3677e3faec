package telemetry

import (
	"context"
	"net"
	"net/http"
	"testing"
)

// TestOperatorsAreServedByTheirMachine: no page of another site has its name lead to profiles.
func TestOperatorsAreServedByTheirMachine(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- New(Build{}).Serve(ctx, ln, "ops.example") }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for host, want := range map[string]int{"localhost": http.StatusOK, "ops.example:9091": http.StatusOK, "evil.example": http.StatusMisdirectedRequest} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+ln.Addr().String()+"/debug/pprof/symbol", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		a, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if a.Body.Close(); a.StatusCode != want {
			t.Errorf("Host %q = %d, want %d", host, a.StatusCode, want)
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
