package cli

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// loopbackOnly refuses requests to a server on a loopback address that name another host: a page of another site, whose
// name was made to lead here, sends its own. Of other addresses nobody knows which names lead to them.
func loopbackOnly(listens net.Addr) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if at, err := netip.ParseAddrPort(listens.String()); err != nil || !at.Addr().IsLoopback() {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !isLoopback(r.Host) {
				http.Error(w, "This server is for the machine that it runs on: call it localhost.", http.StatusMisdirectedRequest)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// isLoopback reports whether a Host header names the machine itself.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return err == nil && a.IsLoopback() || name == "localhost" || strings.HasSuffix(name, ".localhost")
}
