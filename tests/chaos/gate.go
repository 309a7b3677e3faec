package chaos

import (
	"sync"
	"time"

	"github.com/57528e99/recount/tests/pgproxy"
)

// gate is the proxy in front of one process, with the faults that wait for its
// next COMMITs.
type gate struct {
	proxy *pgproxy.Proxy
	// struck is told when a fault has happened.
	struck func(Kind)

	mu    sync.Mutex
	armed []Fault
}

func newGate(dsn string, struck func(Kind)) (*gate, error) {
	g := &gate{struck: struck}
	var err error
	g.proxy, err = pgproxy.Start(dsn, g.choose)
	return g, err
}

// arm lets a fault happen at a COMMIT, after those that wait already.
func (g *gate) arm(f Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = append(g.armed, f)
}

// disarm forgets the faults that have not happened.
func (g *gate) disarm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = nil
}

// choose is what the proxy asks at a COMMIT.
func (g *gate) choose() pgproxy.Fault {
	g.mu.Lock()
	if len(g.armed) == 0 {
		g.mu.Unlock()
		return pgproxy.None
	}
	f := g.armed[0]
	g.armed = g.armed[1:]
	g.mu.Unlock()
	g.struck(f.Kind)
	switch f.Kind {
	case CutBefore:
		return pgproxy.CutBefore
	case CutAfter:
		return pgproxy.CutAfter
	case HoldCommit:
		time.AfterFunc(f.For, g.proxy.Release)
		return pgproxy.Hold
	default:
		time.Sleep(f.For)
		return pgproxy.None
	}
}
