package webhook

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/57528e99/recount/delivery"
)

// nameServer answers whatever it is asked with what answer says.
type nameServer struct {
	answer func(name string, v6 bool) (netip.Addr, bool)
}

func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go s.serve(there)
		return here, nil
	}}
}

// serve answers the questions on a connection, as DNS over TCP.
func (s *nameServer) serve(c net.Conn) {
	defer c.Close()
	for {
		size := make([]byte, 2)
		if _, err := io.ReadFull(c, size); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(size))
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		var labels []string
		at := 12
		for ; q[at] != 0; at += 1 + int(q[at]) {
			labels = append(labels, string(q[at+1:at+1+int(q[at])]))
		}
		kind := binary.BigEndian.Uint16(q[at+1:])
		m := append(append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:at+5]...), 0xc0, 12)
		a, there := s.answer(strings.Join(labels, "."), kind == 28)
		if there && (kind == 28) == a.Is6() && (kind == 1 || kind == 28) {
			m[7] = 1
			m = binary.BigEndian.AppendUint16(m, kind)
			m = append(m, 0, 1, 0, 0, 0, 0, 0, byte(len(a.AsSlice())))
			m = append(m, a.AsSlice()...)
		} else {
			m = m[:len(m)-2]
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...)); err != nil {
			return
		}
	}
}

// canary listens on the addresses of the machine itself, and counts who comes.
func canary(t *testing.T) (port string, came *atomic.Int64) {
	came = new(atomic.Int64)
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(first.Addr().String())
	all := []net.Listener{first}
	if second, err := net.Listen("tcp", "[::1]:"+port); err == nil {
		all = append(all, second)
	}
	var listening sync.WaitGroup
	for _, ln := range all {
		listening.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				came.Add(1)
				c.Close()
			}
		})
	}
	t.Cleanup(func() {
		for _, ln := range all {
			ln.Close()
		}
		listening.Wait()
	})
	return port, came
}

// hostileAddresses are what somebody may want requests of ours to reach.
const hostileAddresses = "127.0.0.1 127.0.0.2 127.1.2.3 127.255.255.254 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.254 192.168.0.1 192.168.255.255 " +
	"169.254.169.254 169.254.170.2 169.254.169.253 169.254.0.23 100.64.0.1 100.100.100.200 100.127.255.255 192.0.0.192 192.0.0.1 168.63.129.16 198.18.0.1 198.19.255.255 " +
	"192.0.2.1 198.51.100.7 203.0.113.9 192.88.99.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255"

// hostileV6 are those that have no IPv4 in them, or in a way of their own.
const hostileV6 = ":: ::1 fe80::1 fe80::a9fe:a9fe fec0::1 fc00::1 fd00::1 fd00:ec2::254 fd20:ce::254 ff02::1 ff05::2 ff0e::1 100::1 2001::1 2001:0:4136:e378:8000:63bf:80ff:fffe " +
	"2001:2::1 2001:10::1 2001:20::1 2001:db8::1 3fff::1 5f00::1 4000::1 64:ff9b:1::1 2a00:1450::5efe:7f00:1 2a00:1450::200:5efe:a00:1 ::ffff:0:127.0.0.1"

// hostileHosts are the hosts of URLs, and what a name server says of those that are names.
func hostileHosts() (hosts []string, named map[string]netip.Addr) {
	named = make(map[string]netip.Addr)
	add := func(host string, a netip.Addr) {
		hosts = append(hosts, host)
		named[strings.ToLower(strings.TrimSuffix(host, "."))] = a
	}
	number := func(a netip.Addr) uint32 { b := a.As4(); return binary.BigEndian.Uint32(b[:]) }
	for i, text := range strings.Fields(hostileAddresses) {
		a := netip.MustParseAddr(text)
		b, n := a.As4(), number(a)
		hosts = append(hosts, text)
		add(fmt.Sprintf("v4-%d.example.com", i), a)
		// The resolvers of C libraries take all these for the address.
		add(fmt.Sprint(n), a)
		add(fmt.Sprintf("0x%x", n), a)
		add(fmt.Sprintf("0%o.0%o.0%o.0%o", b[0], b[1], b[2], b[3]), a)
		add(fmt.Sprintf("0x%x.%d.%d.%d", b[0], b[1], b[2], b[3]), a)
		add(fmt.Sprintf("%d.%d", b[0], n&0xffffff), a)
		add(text+".", a)
		// Forms in which IPv6 has it.
		for _, form := range []string{"::ffff:%x:%x", "64:ff9b::%x:%x", "::%x:%x", "2002:%x:%x::1"} {
			v6 := fmt.Sprintf(form, n>>16, n&0xffff)
			hosts = append(hosts, "["+v6+"]")
			if !strings.HasPrefix(v6, "::ffff") { // it would be an answer that no name server can give
				add(fmt.Sprintf("v6-%d.%s.example.com", i, form[:2]), netip.MustParseAddr(v6))
			}
		}
		hosts = append(hosts, "[::ffff:"+text+"]")
	}
	for i, text := range strings.Fields(hostileV6) {
		hosts = append(hosts, "["+text+"]", "["+text+"%25lo]")
		add(fmt.Sprintf("only-v6-%d.example.com", i), netip.MustParseAddr(text))
	}
	local := netip.MustParseAddr("127.0.0.1")
	for _, name := range []string{"localhost.example.com", "127.0.0.1.nip.example.com", "metadata.google.internal", "１２７.０.０.１", "①②⑦.⓪.⓪.①", "127。0。0。1"} {
		hosts = append(hosts, name)
		named[name] = local
	}
	return append(hosts, "localhost", "LOCALHOST", "localhost."), named
}

// TestHostileTargetsAreNotConnectedTo: some hundred ways to name what is not public, for webhooks and other targets.
func TestHostileTargetsAreNotConnectedTo(t *testing.T) {
	port, came := canary(t)
	hosts, named := hostileHosts()
	s := &nameServer{answer: func(name string, _ bool) (netip.Addr, bool) {
		a, there := named[strings.ToLower(name)]
		return a, there
	}}
	n, refused := 0, 0
	for _, host := range hosts {
		for _, scheme := range []string{"http", "https"} {
			n++
			err := deliverTo(t, scheme+"://"+host+":"+port+"/", &guard{resolver: s.resolver()})
			var why interface {
				Reason() (code, subject, schema string)
			}
			var noName *net.DNSError
			switch {
			case errors.As(err, &why):
				refused++
			case errors.As(err, &noName), errors.Is(err, delivery.ErrInvalid):
				// Go's own resolver asks nobody for names that are numbers.
			default:
				t.Errorf("%s://%s: %v", scheme, host, err)
			}
		}
	}
	t.Logf("%d targets, %d of them refused for the address", n, refused)
	if refused < 300 || came.Load() != 0 {
		breaks(t, "what is not public is not connected to")
		t.Errorf("%d connections came, to %d targets; %d were refused for the address", came.Load(), n, refused)
	}
}

// breaks tells the trials of mutants which rule a test finds broken.
func breaks(t *testing.T, rule string) {
	if os.Getenv("RECOUNT_TRIAL_MUTANT") != "" {
		fmt.Printf("caught\t%s\t0\t%s\n", t.Name(), rule)
	}
}

// deliverTo sends an event to an address as a guard lets it.
func deliverTo(t *testing.T, address string, g *guard) error {
	target, err := New(delivery.Definition{Name: "hostile", Target: delivery.TargetConfig{HTTP: &delivery.HTTPTarget{URL: address}}}, nil)
	if err != nil {
		return err
	}
	target.transport = newTransport(delivery.Definition{MaxInFlight: 1, Partitions: 1}, g)
	defer target.Close()
	return deliver(t, target, event(7, "1"))
}

// TestANameThatLeadsElsewhereLater: whoever has a name answers for it as they like. What is looked at is the address
// that is dialed.
func TestANameThatLeadsElsewhereLater(t *testing.T) {
	port, came := canary(t)
	var asked atomic.Int64
	s := &nameServer{answer: func(_ string, v6 bool) (netip.Addr, bool) {
		if v6 {
			return netip.Addr{}, false
		}
		// The first is let through, and nobody listens there.
		if asked.Add(1)%2 == 1 {
			return netip.MustParseAddr("127.0.0.2"), true
		}
		return netip.MustParseAddr("127.0.0.1"), true
	}}
	g := &guard{allowed: prefixes("127.0.0.2/32"), resolver: s.resolver()}
	refused := 0
	for range 4 {
		err := deliverTo(t, "http://rebound.example.com:"+port, g)
		var why interface {
			Reason() (code, subject, schema string)
		}
		if err == nil {
			t.Error("it was delivered")
		}
		if errors.As(err, &why) {
			refused++
		}
	}
	if refused != 2 || came.Load() != 0 {
		breaks(t, "what is not public is not connected to")
		t.Errorf("%d of 4 requests were refused, want 2; %d connections came", refused, came.Load())
	}
}

// TestWebhooksByHTTP go to networks that are let through only: who listens on the way could read them.
func TestWebhooksByHTTP(t *testing.T) {
	g := &guard{onlyAllowed: true, resolver: (&nameServer{answer: func(string, bool) (netip.Addr, bool) { return netip.MustParseAddr("8.8.8.8"), true }}).resolver()}
	if err := deliverTo(t, "http://example.com", g); err == nil || !strings.Contains(err.Error(), "https only") {
		t.Errorf("plain HTTP to an address that is public: %v", err)
	}
}

// TestTheMachineItselfIsRefused by its public addresses too: what comes from itself passes no firewall.
func TestTheMachineItselfIsRefused(t *testing.T) {
	own, err := net.InterfaceAddrs()
	if err != nil || len(own) == 0 {
		t.Skip("the machine has no addresses", err)
	}
	for _, a := range own {
		if !isOwn(netip.MustParsePrefix(a.String()).Addr()) {
			t.Errorf("%s is taken for another's", a)
		}
	}
	if isOwn(netip.MustParseAddr("8.8.8.8")) {
		t.Error("8.8.8.8 is taken for one of this machine")
	}
}
