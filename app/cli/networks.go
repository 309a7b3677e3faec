package cli

import (
	"errors"
	"net/netip"
	"strings"
)

// networks is a flag that takes networks, several at once or one after another.
type networks []netip.Prefix

// String implements pflag.Value.
func (n *networks) String() string {
	all := make([]string, len(*n))
	for i, network := range *n {
		all[i] = network.String()
	}
	return strings.Join(all, ",")
}

// Type implements pflag.Value. The help shows it.
func (n *networks) Type() string { return "CIDR" }

// Set implements pflag.Value. An address is the network of itself.
func (n *networks) Set(text string) error {
	for one := range strings.SplitSeq(text, ",") {
		network, err := netip.ParsePrefix(strings.TrimSpace(one))
		if address, failed := netip.ParseAddr(strings.TrimSpace(one)); err != nil && failed == nil {
			network, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			return errors.New("must be a network such as 10.0.0.0/8, or an address")
		}
		*n = append(*n, network.Masked())
	}
	return nil
}

// loopback are the networks of the machine itself.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
