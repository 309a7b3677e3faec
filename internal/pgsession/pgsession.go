// Package pgsession makes the connections to PostgreSQL mean the same wherever they lead: whatever a
// role, a database or a pooler has for settings of a session.
//
// Settings that statements depend on are pinned by startup parameters. A pooler may refuse or ignore
// most of them: then the session is looked at, and refused if it has a value under which statements
// would mean something else. What a transaction can set for itself (timeouts) is not pinned here only.
// Whether transactions may write is left to the database: making it read-only protects a full disk.
package pgsession

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/internal/pgerr"
)

const (
	// abandonedFor is how long a statement whose caller has gone may take to end by itself. Its
	// connection is closed only then: clients that give up must not cost the database connections.
	abandonedFor = 2 * time.Second
	// distrustInterval is the least time between two replacements of all sessions of a pool.
	distrustInterval = time.Second
)

// tracked are the settings that poolers, too, keep for each of their clients.
var tracked = map[string]string{
	"client_encoding": "UTF8", "datestyle": "ISO", "timezone": "UTC", "standard_conforming_strings": "on",
}

// pinned are those that a pooler may refuse or ignore.
var pinned = map[string]string{
	"default_transaction_isolation": "read committed", "bytea_output": "hex", "extra_float_digits": "1",
	"intervalstyle": "postgres", "statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0",
}

// needed are the settings under which a session cannot be used unless they are as pinned.
var needed = []string{
	"client_encoding", "standard_conforming_strings", "datestyle", "default_transaction_isolation", "bytea_output", "extra_float_digits",
}

// Configure prepares the connections of a pool, which must not be made yet, and those that are made from
// its configuration.
func Configure(config *pgxpool.Config) {
	s := &sessions{}
	inner := *config
	s.prepare(config.ConnConfig)
	config.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error {
		if inner.BeforeConnect != nil {
			if err := inner.BeforeConnect(ctx, c); err != nil {
				return err
			}
		}
		s.pin(ctx, c)
		return nil
	}
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		conn.PgConn().CustomData()[madeKey] = time.Now()
		if err := checkConn(ctx, conn.PgConn()); err != nil || inner.AfterConnect == nil {
			return err
		}
		return inner.AfterConnect(ctx, conn)
	}
	config.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		if !s.trusts(conn) {
			return false, nil
		}
		if inner.PrepareConn != nil {
			return inner.PrepareConn(ctx, conn)
		}
		// Callers may still set it, and it counts for nothing beside PrepareConn.
		before := inner.BeforeAcquire //lint:ignore SA1019 it is theirs
		return before == nil || before(ctx, conn), nil
	}
}

// Connect makes one connection with the settings.
func Connect(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	bare := config.Copy()
	maps.Copy(bare.RuntimeParams, tracked)
	all := bare.Copy()
	maps.Copy(all.RuntimeParams, pinned)
	conn, err := pgx.ConnectConfig(ctx, all)
	if IsStartupRefused(err) {
		conn, err = pgx.ConnectConfig(ctx, bare)
	}
	if err != nil {
		return nil, err
	}
	if err := checkConn(ctx, conn.PgConn()); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

// Check returns a *SettingError if the connections of a pool that somebody else configured cannot be used.
func Check(ctx context.Context, pool *pgxpool.Pool) error {
	return pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { return checkConn(ctx, conn.Conn().PgConn()) })
}

// sessions is what the connections of a pool share.
type sessions struct {
	mu sync.Mutex
	// asked says that refused is known: whether the server takes the settings in pinned.
	asked, refused bool
	// distrusted is the time before which sessions were made that are to be replaced.
	distrusted atomic.Pointer[time.Time]
}

const madeKey = "recount: made at"

// pin sets the settings as far as the server takes them.
func (s *sessions) pin(ctx context.Context, config *pgx.ConnConfig) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(config.RuntimeParams, tracked)
	all := config.Copy()
	maps.Copy(all.RuntimeParams, pinned)
	if !s.asked {
		conn, err := pgx.ConnectConfig(ctx, all)
		if err == nil {
			_ = conn.Close(ctx)
		}
		if IsStartupRefused(err) { // perhaps for something else, such as too many clients
			var without *pgx.Conn
			if without, err = pgx.ConnectConfig(ctx, config); err == nil {
				_ = without.Close(ctx)
				s.refused = true
			}
		}
		s.asked = err == nil
	}
	if !s.refused {
		config.RuntimeParams = all.RuntimeParams
	}
}

// IsStartupRefused reports that a pooler let nobody in who passes settings.
func IsStartupRefused(err error) bool { return pgerr.Is(err, pgerr.ProtocolViolation) }

// prepare sets what holds for a connection's whole life.
func (s *sessions) prepare(config *pgx.ConnConfig) {
	closes := config.OnPgError
	config.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		keep := closes == nil || closes(conn, err)
		if keep && !pgerr.IsReadOnly(err) {
			return true
		}
		// A session keeps for good whether the database was read-only when it began, and one that the
		// server has ended was hardly the only one. One that was never made says nothing of the others.
		if _, made := conn.CustomData()[madeKey]; made {
			s.distrust()
		}
		return false
	}
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn(), DeadlineDelay: abandonedFor}
	}
}

// distrust has all sessions replaced that are there now, each when it is next asked for.
func (s *sessions) distrust() {
	now := time.Now()
	if last := s.distrusted.Load(); last == nil || now.Sub(*last) > distrustInterval {
		s.distrusted.CompareAndSwap(last, &now)
	}
}

func (s *sessions) trusts(conn *pgx.Conn) bool {
	since := s.distrusted.Load()
	made, ok := conn.PgConn().CustomData()[madeKey].(time.Time)
	return since == nil || ok && made.After(*since)
}

// SettingError says that sessions have a setting under which statements would mean something else.
type SettingError struct{ Name, Value, Want string }

func (e *SettingError) Error() string {
	return fmt.Sprintf("the database gives sessions %s = %q, it must be %q", e.Name, e.Value, e.Want)
}

// Hint says how to get on.
func (e *SettingError) Hint() string {
	return fmt.Sprintf("ALTER ROLE … SET %s = '%s' for the user of the connections, or connect to the server itself if this is a pooler; "+
		"a pool of your own needs pgstore.ConfigurePool", e.Name, e.Want)
}

// checkConn returns a *SettingError if a session cannot be used.
func checkConn(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, "SELECT current_setting('"+strings.Join(needed, "'), current_setting('")+"')").ReadAll()
	if err != nil {
		return fmt.Errorf("look at the settings of the session: %w", err)
	}
	for i, name := range needed {
		value, want := string(results[0].Rows[0][i]), tracked[name]+pinned[name]
		first, _, _ := strings.Cut(value, ",") // of DateStyle only the format matters
		if first != want && !(name == "extra_float_digits" && slices.Contains([]string{"2", "3"}, value)) {
			return &SettingError{Name: name, Value: value, Want: want}
		}
	}
	return nil
}

// Retry runs a read, and again if its session was lost. A read changes nothing that a second one would
// change again. Sessions that ended together are met one after the other, hence more than two tries.
func Retry(ctx context.Context, read func() error) (err error) {
	const tries = 10
	for try := 1; ; try++ {
		if err = read(); !isLost(err) || try == tries || ctx.Err() != nil {
			return err
		}
	}
}

// isLost reports whether a session ended under a statement, or before it.
func isLost(err error) bool {
	var connect *pgconn.ConnectError
	var network *net.OpError
	switch {
	case err == nil, errors.As(err, &connect), pgconn.Timeout(err), errors.Is(err, context.Canceled):
		return false
	case pgerr.Code(err) != "":
		return pgerr.IsSessionLost(err)
	}
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}
