package webhook

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/57528e99/recount/delivery"
)

func TestAddressesThatAreRefused(t *testing.T) {
	g := &guard{allowed: prefixes("10.1.0.0/16", "fd00:1::/64", "64:ff9b:1::/48")}
	for _, c := range []struct {
		addresses string
		want      bool
	}{
		{"8.8.8.8 1.1.1.1 100.63.255.255 100.128.0.0 172.15.0.1 172.32.0.1 192.167.0.1 169.253.0.1 223.255.255.255", true},
		{"2606:4700::1111 2a00:1450::1 2400::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8", true},
		// Networks that are let through, however they are written.
		{"10.1.2.3 ::ffff:10.1.2.3 64:ff9b::10.1.2.3 fd00:1::7 64:ff9b:1::10.2.0.1", true},
		{"127.0.0.1 127.255.0.1 ::1 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::127.0.0.1", false},
		{"10.0.0.1 10.2.0.1 172.16.0.1 172.31.255.255 192.168.0.1 ::ffff:192.168.0.1 64:ff9b::192.168.0.1 fc00::1 fd00:2::1", false},
		{"169.254.169.254 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe fe80::1 fe80::1%eth0 fec0::1 168.63.129.16", false},
		{"0.0.0.0 0.1.2.3 :: ::ffff:0.0.0.0", false},
		{"100.64.0.1 100.127.255.255 100.100.100.200", false},
		{"224.0.0.1 239.255.255.250 255.255.255.255 240.0.0.1 ff02::1 ff01::1 ff0e::1", false},
		{"192.0.0.1 192.0.2.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 192.88.99.1 2001:db8::1 3fff::1 100::1 5f00::1", false},
		// What hides an IPv4 address: 6to4, Teredo, ISATAP, and what is reserved.
		{"2002:7f00:1::1 2002:808:808::1 2001:0:4136:e378::1 ::8.8.8.8 64:ff9b:2::8.8.8.8 4000::1 2a00:1450::5efe:7f00:1 2a00:1450::200:5efe:a00:1", false},
	} {
		for _, text := range strings.Fields(c.addresses) {
			a := netip.MustParseAddr(text)
			if got := g.isAllowed(a) || isPublic(a); got != c.want {
				t.Errorf("%s may be dialed: %t, want %t", text, got, c.want)
			}
		}
	}
}

// TestNothingConnectsToPrivateAddresses: by whatever name, for events and for tokens.
func TestNothingConnectsToPrivateAddresses(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request came") }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("RECOUNT_SECRET_CLIENT", "s3cret-value")
	for _, host := range []string{"127.0.0.1", "localhost", "127.1.2.3", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "[::ffff:7f00:1]"} {
		for what, c := range map[string]delivery.HTTPTarget{
			"events": {URL: "http://" + host + ":" + port},
			"tokens": {URL: "https://example.com", Auth: &delivery.HTTPAuth{OAuth: &delivery.OAuthAuth{
				TokenURL: "http://" + host + ":" + port, ClientID: "id", ClientSecret: delivery.Secret{Env: "RECOUNT_SECRET_CLIENT"}}}},
		} {
			err := deliver(t, newTarget(t, c, 1, nil), event(7, "1"))
			var why interface {
				Reason() (code, subject, schema string)
			}
			if !errors.As(err, &why) {
				t.Errorf("%s to %s: %v", what, host, err)
				continue
			}
			// An operator lets it through, and nothing is lost until then.
			code, subject, _ := why.Reason()
			if outcome, _ := delivery.OutcomeOf(err); code != ReasonAddressRefused || outcome != delivery.Transient || netip.MustParseAddr(subject).IsGlobalUnicast() {
				t.Errorf("%s to %s: %s, %s, %v", what, host, code, subject, err)
			}
		}
	}
}
