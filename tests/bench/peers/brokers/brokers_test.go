package brokers

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/inbox"
	"github.com/57528e99/recount/delivery/targettest"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

func eventually(t testing.TB, check func() error) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); ; <-ticker.C {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// message is one that a broker has.
type message struct {
	headers map[string]string
	body    []byte
}

// arrival returns a message as targettest knows it. Prefix is that of CloudEvents attributes.
func (m message) arrival(t testing.TB, prefix string, decode func(string) string) targettest.Arrival {
	t.Helper()
	number := func(name string, initially int64) int64 {
		if m.headers[name] == "" {
			return initially
		}
		n, err := strconv.ParseInt(m.headers[name], 10, 64)
		if err != nil {
			t.Errorf("the header %s is %q", name, m.headers[name])
		}
		return n
	}
	a := targettest.Arrival{
		Type: decode(m.headers[prefix+"type"]), Data: m.body, Subscription: m.headers["recount-subscription"], Position: number("recount-position", 0),
		Epoch: number("recount-epoch", 0), Attempt: int(number("recount-attempt", 1)), Redrive: m.headers["recount-redrive"] == "true",
	}
	a.Replay, _ = url.PathUnescape(m.headers["recount-replay"])
	if err := a.MessageID.UnmarshalText([]byte(m.headers[prefix+"id"])); err != nil {
		t.Errorf("the id of a message is %q", m.headers[prefix+"id"])
	}
	return a
}

func plain(s string) string { return s }

func unescaped(s string) string {
	s, _ = url.PathUnescape(s)
	return s
}

// broker is one that runs for a test.
type broker struct {
	prefix string
	decode func(string) string
	// remembers: it does not take twice what it has.
	remembers bool
	// target returns where events go to a place of their own, of that name.
	target func(name string) delivery.TargetConfig
	make   delivery.TargetFactory
	// inbox consumes such a place.
	inbox   func(name string) delivery.Inbox
	consume func(context.Context, *inbox.Inbox, *net.Dialer) error
	// read returns what has come to such a place since it was read last.
	read func(t testing.TB, name string) []message
	// kill ends it as a power cut does, start begins it again.
	kill, start func()
}

// fixture is a target whose receiver is read after each attempt.
type fixture struct {
	delivery.Target
	mu      sync.Mutex
	arrived func() []targettest.Arrival
	fixture *targettest.Fixture
}

func (f *fixture) Deliver(ctx context.Context, d *delivery.Delivery) error {
	err := f.Target.Deliver(ctx, d)
	f.mu.Lock()
	defer f.mu.Unlock()
	if came := f.arrived(); len(came) > 0 {
		f.fixture.Receive(ctx, came)
	}
	return err
}

// suite runs the suite that all targets pass.
func (b *broker) suite(t *testing.T) {
	var number int
	var mu sync.Mutex
	targettest.Run(t, func(t *testing.T) *targettest.Fixture {
		mu.Lock()
		number++
		name := fmt.Sprintf("suite%d", number)
		mu.Unlock()
		target := b.open(t, name, func(*delivery.Definition) {})
		f := &fixture{Target: target, fixture: &targettest.Fixture{Marks: true, Stores: true, Remembers: b.remembers}}
		f.arrived = func() (list []targettest.Arrival) {
			for _, m := range b.read(t, name) {
				list = append(list, m.arrival(t, b.prefix, b.decode))
			}
			return list
		}
		f.fixture.Target = f
		return f.fixture
	})
}

// open returns a target that goes to a place of its own.
func (b *broker) open(t testing.TB, name string, change func(*delivery.Definition)) delivery.Target {
	t.Helper()
	d := delivery.Definition{Name: "big-orders", Target: b.target(name)}
	change(&d)
	target, err := b.make(d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.(interface{ Close() }).Close)
	return target
}

// dialer is what connects to brokers here.
var dialer = &net.Dialer{Timeout: 10 * time.Second}

// freePort returns one that nobody listens at.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
