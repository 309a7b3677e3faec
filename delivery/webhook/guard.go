package webhook

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// ReasonAddressRefused is the reason code of an error about an address, its subject, that is not public and not
// among those that New is told of.
const ReasonAddressRefused = "target-address-refused"

// newDialer returns a dialer that refuses to connect to what is not public. It looks at the address that is
// dialed, after names are resolved: who answers for a name cannot lead it astray.
func newDialer(allowed []netip.Prefix) *net.Dialer {
	return &net.Dialer{
		Timeout: 10 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("the address %q cannot be judged: %w", address, err)
			}
			if a := to.Addr(); !mayDial(a, allowed) {
				err := eventstore.NewError(eventstore.ClassUnavailable, fmt.Sprintf("the address %s is not public, and not among those that targets may have", a))
				return eventstore.WithReason(err, ReasonAddressRefused, a.String(), "")
			}
			return nil
		},
	}
}

// notPublic are the networks that IANA's registries of special-purpose addresses do not call globally reachable,
// those in which an IPv4 address is hidden, and one by which machines of a cloud reach what runs them.
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32",
	// Of IPv6 only 2000::/3 is given out, and this of it is special: Teredo and others, documentation, 6to4.
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

var (
	givenOut = netip.MustParsePrefix("2000::/3")
	// nat64 is how hosts that have IPv6 only reach IPv4: the last 32 bits are the address that is reached.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func mayDial(a netip.Addr, allowed []netip.Prefix) bool {
	contains := func(p netip.Prefix) bool { return p.Contains(a) }
	a = a.WithZone("")
	if slices.ContainsFunc(allowed, contains) {
		return true
	}
	bytes := a.As16()
	if a.Is4In6() || nat64.Contains(a) {
		a = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	return slices.ContainsFunc(allowed, contains) || (a.Is4() || givenOut.Contains(a)) && !slices.ContainsFunc(notPublic, contains)
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}
