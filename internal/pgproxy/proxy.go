package pgproxy

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"

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
	// the transaction happens when nobody waits for it any more.
	Hold
)

// Proxy is a listener that passes connections on to a server.
type Proxy struct {
	listener net.Listener
	network  string
	address  string
	// choose is asked at every COMMIT.
	choose func() Fault

	mu    sync.Mutex
	conns map[net.Conn]bool
	group sync.WaitGroup
	held  chan struct{}
}

// Start listens on a free local port and passes connections on to the server of
// dsn. Choose is called at every COMMIT, from several goroutines.
func Start(dsn string, choose func() Fault) (*Proxy, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	p := &Proxy{listener: listener, choose: choose, conns: make(map[net.Conn]bool), held: make(chan struct{})}
	p.network, p.address = "tcp", net.JoinHostPort(config.Host, fmt.Sprint(config.Port))
	if filepath.IsAbs(config.Host) {
		p.network, p.address = "unix", filepath.Join(config.Host, fmt.Sprintf(".s.PGSQL.%d", config.Port))
	}
	p.group.Go(p.accept)
	return p, nil
}

// Configure makes connections of config go through the proxy.
func (p *Proxy) Configure(config *pgx.ConnConfig) {
	addr := p.listener.Addr().(*net.TCPAddr)
	config.Host, config.Port = addr.IP.String(), uint16(addr.Port)
	config.TLSConfig, config.Fallbacks = nil, nil
}

// Release lets the messages go that Hold kept back, now and from now on.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.held:
	default:
		close(p.held)
	}
}

// Cut closes all present connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		// A second close says only that.
		_ = c.Close()
	}
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.Release()
	p.Cut()
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
		server, err := net.Dial(p.network, p.address)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.track(client)
		p.track(server)
		l := &link{proxy: p, client: client, server: server, commits: make(map[string]bool), ended: make(chan struct{})}
		p.group.Go(l.forward)
		p.group.Go(l.backward)
	}
}

func (p *Proxy) track(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
}

func (p *Proxy) close(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}
