package pgproxy

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// Fault is what happens to a connection at a COMMIT.
type Fault int

const (
	// None lets it pass.
	None Fault = iota
	// CutBefore closes both sides before the server sees the COMMIT: the
	// transaction is rolled back.
	CutBefore
	// CutAfter closes the client's side when the server has answered the
	// COMMIT: the transaction is committed and the client does not know.
	CutAfter
	// Hold closes the client's side and keeps its last messages, from the
	// first after a Sync to the COMMIT, back from the server until Release:
	// the transaction happens when nobody waits for it any more. Requests to
	// cancel do not pass until it has happened.
	Hold
)

// Proxy is a listener that passes connections on to a server.
type Proxy struct {
	listener net.Listener
	// choose is asked at every COMMIT.
	choose func() Fault
	// deaf says that notifications do not pass.
	deaf    atomic.Bool
	dropped atomic.Int64
	// holding counts the connections whose last messages are kept back, or not yet
	// answered.
	holding atomic.Int64

	mu     sync.Mutex
	target target
	closed bool
	conns  map[net.Conn]bool
	group  sync.WaitGroup
	held   chan struct{}
}

// target is a server as the proxy reaches it.
type target struct{ network, address, user, database string }

func parseTarget(dsn string) (target, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return target{}, fmt.Errorf("address of the proxy's server: %w", err)
	}
	t := target{"tcp", net.JoinHostPort(config.Host, fmt.Sprint(config.Port)), config.User, config.Database}
	if filepath.IsAbs(config.Host) {
		t.network, t.address = "unix", filepath.Join(config.Host, fmt.Sprintf(".s.PGSQL.%d", config.Port))
	}
	return t, nil
}

// Start listens on a free local port and passes connections on to the server of
// dsn. Choose is called at every COMMIT, from several goroutines; it may take
// its time, and the COMMIT waits.
func Start(dsn string, choose func() Fault) (*Proxy, error) {
	t, err := parseTarget(dsn)
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	p := &Proxy{listener: listener, choose: choose, target: t, conns: make(map[net.Conn]bool), held: make(chan struct{})}
	p.group.Go(p.accept)
	return p, nil
}

// Redirect passes connections made from now on to the server of dsn.
func (p *Proxy) Redirect(dsn string) error {
	t, err := parseTarget(dsn)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = t
	return nil
}

// DSN is the address of the server's database through the proxy, without a
// password and without TLS, for programs.
func (p *Proxy) DSN() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := url.URL{Scheme: "postgres", User: url.User(p.target.user), Host: p.listener.Addr().String(),
		Path: "/" + p.target.database, RawQuery: "sslmode=disable"}
	return u.String()
}

// DropNotifications decides whether what NOTIFY sends is kept from clients.
func (p *Proxy) DropNotifications(drop bool) { p.deaf.Store(drop) }

// Dropped is how many notifications were kept from clients so far.
func (p *Proxy) Dropped() int64 { return p.dropped.Load() }

// Configure makes connections of config go through the proxy.
func (p *Proxy) Configure(config *pgx.ConnConfig) {
	addr := p.listener.Addr().(*net.TCPAddr)
	config.Host, config.Port = addr.IP.String(), uint16(addr.Port)
	config.TLSConfig, config.Fallbacks = nil, nil
}

// Release lets the messages go that Hold keeps back now.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.held)
	p.held = make(chan struct{})
}

// released is closed by the next Release, or is closed if there is none to come.
func (p *Proxy) released() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return p.held
}

// Cut closes all present connections and returns how many there were.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut()
}

func (p *Proxy) cut() int {
	for c := range p.conns {
		// A second close says only that.
		_ = c.Close()
	}
	return len(p.conns) / 2
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.cut()
	p.mu.Unlock()
	p.Release()
	p.group.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		to := p.target
		p.mu.Unlock()
		server, err := net.Dial(to.network, to.address)
		if err != nil {
			_ = client.Close()
			continue
		}
		l := &link{proxy: p, client: client, server: server, statements: make(map[string]string), ended: make(chan struct{})}
		if !p.track(client, server) {
			return
		}
		p.group.Go(l.forward)
		p.group.Go(l.backward)
	}
}

// track remembers the two ends of a link, or closes them if the proxy is closed.
func (p *Proxy) track(ends ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range ends {
		if p.closed {
			_ = c.Close()
			continue
		}
		p.conns[c] = true
	}
	return !p.closed
}

func (p *Proxy) close(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}
