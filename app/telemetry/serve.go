package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/57528e99/recount/httpapi"
)

// Handler serves GET /metrics and /debug/pprof/. It is for operators: profiles show what is in
// memory, and cost time to make.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		// Nobody is there to be told that the answer was not taken.
		_, _ = io.WriteString(w, "/metrics       for Prometheus\n/debug/pprof/  profiles of this process\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		// Metrics that cannot be had must not take the others with them.
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: failed{m}, MaxRequestsInFlight: 4, Timeout: 2 * databaseTimeout,
	}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	// There is no command line: it may have the password of the database in it.
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// failed gets what cannot be had.
type failed struct{ *Metrics }

// Println implements promhttp.Logger.
func (f failed) Println(what ...any) {
	if f.Failed != nil {
		f.Failed(errors.New(strings.TrimSpace(fmt.Sprintln(what...))))
	}
}

// onlyFor keeps pages of other sites, whose names were made to lead here, from reading profiles.
func onlyFor(own func(host string) bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !own(r.Host) {
			http.Error(w, "This server is for the machine that it runs on: call it localhost.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Serve serves Handler on ln until ctx is done, and closes ln; on a loopback address for httpapi.OwnHosts, with the names that are allowed. Requests that are still being
// answered then are cut off: a profile may take as long as its reader wants.
func (m *Metrics) Serve(ctx context.Context, ln net.Listener, allowed ...string) error {
	handler := m.Handler()
	if own := httpapi.OwnHosts(ln.Addr(), allowed...); own != nil {
		handler = onlyFor(own, handler)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { closed <- server.Close() })
	err := server.Serve(ln)
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics on %s: %w", ln.Addr(), err)
	}
	return <-closed
}
