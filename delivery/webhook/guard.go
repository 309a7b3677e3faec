package webhook

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// ReasonAddressRefused is the reason code of an error about an address, its subject, that is not public and not
// among those that New is told of.
const ReasonAddressRefused = "target-address-refused"

// guard says what may be connected to.
type guard struct {
	// allowed are networks that may be, although they are not public; onlyAllowed says that nothing else may.
	allowed     []netip.Prefix
	onlyAllowed bool
	// resolver is that of the machine by default.
	resolver *net.Resolver
}

// NewDialer returns a dialer for other targets that connects to what New lets through.
func NewDialer(allow []netip.Prefix) *net.Dialer { return (&guard{allowed: allow}).dialer() }

// dialer returns a dialer that refuses to connect to what may not be. It looks at the address that is dialed, after
// names are resolved: who answers for a name cannot lead it astray.
func (g *guard) dialer() *net.Dialer {
	return &net.Dialer{
		Timeout:  10 * time.Second,
		Resolver: g.resolver,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("the address %q cannot be judged: %w", address, err)
			}
			return g.judge(to.Addr())
		},
	}
}

// judge refuses an address that may not be connected to.
func (g *guard) judge(a netip.Addr) error {
	what := ""
	switch {
	case g.isAllowed(a):
		return nil
	case g.onlyAllowed:
		what = "the address %s gets requests of webhooks by https only"
	case !isPublic(a) || isOwn(a):
		what = "the address %s is not public"
	default:
		return nil
	}
	refused := eventstore.NewError(eventstore.ClassUnavailable, fmt.Sprintf(what+", and not among those that targets may have", a))
	return eventstore.WithReason(refused, ReasonAddressRefused, a.String(), "")
}

// CheckAddress returns why a webhook's requests to a URL can never be sent, nil if they may be as far as is known: an address
// is judged, and with plain HTTP those that a name has now. Allow are as in New.
func CheckAddress(ctx context.Context, target string, allow []netip.Prefix) error {
	u, err := url.Parse(target)
	if err != nil {
		return nil // which is for the definition to say
	}
	g := &guard{allowed: allow, onlyAllowed: u.Scheme == "http"}
	var addresses []netip.Addr
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		addresses = append(addresses, a)
	} else if g.onlyAllowed {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		// What cannot be resolved here and now may be elsewhere or later.
		addresses, _ = net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	}
	for _, a := range addresses {
		if err = g.judge(a); err == nil {
			return nil
		}
	}
	if len(addresses) == 0 {
		return nil
	}
	return err
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

// reached returns the address that packets to one reach: without its zone, and the IPv4 address if it is one in another form.
func reached(a netip.Addr) netip.Addr {
	if a = a.WithZone(""); a.Is4In6() || nat64.Contains(a) {
		bytes := a.As16()
		a = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	return a
}

func (g *guard) isAllowed(a netip.Addr) bool {
	there := func(a netip.Addr) bool {
		return slices.ContainsFunc(g.allowed, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return there(a.WithZone("")) || there(reached(a))
}

func isPublic(a netip.Addr) bool {
	a = reached(a)
	return (a.Is4() || givenOut.Contains(a) && !isISATAP(a)) && !slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(a) })
}

// isISATAP reports whether an address is of RFC 5214, which has an IPv4 address behind 0:5efe or 200:5efe.
func isISATAP(a netip.Addr) bool {
	b := a.As16()
	return b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// isOwn reports whether an address is one of this machine: what comes from itself passes no firewall.
func isOwn(a netip.Addr) bool {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return true // nobody knows
	}
	a = reached(a)
	return slices.ContainsFunc(own, func(o net.Addr) bool {
		p, err := netip.ParsePrefix(o.String())
		return err == nil && reached(p.Addr()) == a
	})
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}
