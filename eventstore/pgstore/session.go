package pgstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// closeTimeout bounds the goodbye to a connection.
const closeTimeout = 5 * time.Second

var errNoCancel = errors.New("statements of the store are never cancelled")

// session is a connection of the store's own, apart from the pool: readers
// cannot starve it, and its notices can be watched.
type session struct {
	*pgx.Conn
	warnings *atomic.Int64
}

// connect makes a session from the pool's configuration.
func (s *Store) connect(ctx context.Context) (*session, error) {
	poolConfig := s.cfg.Pool.Config()
	config := poolConfig.ConnConfig.Copy()
	if poolConfig.BeforeConnect != nil {
		if err := poolConfig.BeforeConnect(ctx, config); err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
	}
	warnings := new(atomic.Int64)
	onNotice := config.OnNotice
	config.OnNotice = func(c *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			warnings.Add(1)
		}
		if onNotice != nil {
			onNotice(c, n)
		}
	}
	// What waits for notifications, or for a standby, ends at once.
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: c.Conn()}
	}
	var connected atomic.Bool
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if connected.Load() {
			// A connection that is given up asks for the cancellation of what it
			// does. In a commit that would end the wait for the standby.
			return nil, errNoCancel
		}
		return dial(ctx, network, address)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	connected.Store(true)
	if poolConfig.AfterConnect != nil {
		if err := poolConfig.AfterConnect(ctx, conn); err != nil {
			closeConn(ctx, conn)
			return nil, fmt.Errorf("connect: %w", err)
		}
	}
	return &session{Conn: conn, warnings: warnings}, nil
}

func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	// The server notices a lost connection by itself.
	_ = conn.Close(ctx)
}
