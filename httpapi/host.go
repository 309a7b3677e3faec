package httpapi

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// OwnHosts returns a Config.Host for a server on a loopback address: the machine itself, and allowed, names with a port or
// without. A page of another site, whose name was made to lead here, sends its own. What sends none is no browser. Of other
// addresses nobody knows which names lead to them: nil.
func OwnHosts(listens net.Addr, allowed ...string) func(string) bool {
	if at, err := netip.ParseAddrPort(listens.String()); err != nil || !at.Addr().IsLoopback() {
		return nil
	}
	return func(host string) bool {
		name := nameOf(host)
		return host == "" || isLoopback(name) || slices.ContainsFunc(allowed, func(other string) bool { return nameOf(other) == name })
	}
}

// nameOf returns the name in a Host header, or its address.
func nameOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// isLoopback reports whether a name is that of the machine itself.
func isLoopback(name string) bool {
	a, err := netip.ParseAddr(name)
	return err == nil && a.IsLoopback() || name == "localhost" || strings.HasSuffix(name, ".localhost")
}
