// Package pgsession makes the connections to PostgreSQL mean the same wherever they lead: whatever
// a role, a database or a pooler has for settings of a session.
//
// Settings that statements depend on are pinned by startup parameters. A pooler may refuse or
// ignore most of them: then the session is looked at, and refused if it has a value under which
// statements would mean something else. What a transaction can set for itself (timeouts) is not
// pinned here only. Whether transactions may write is left to the database: making it read-only
// protects a full disk.
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

// pinned are those that a pooler may refuse or ignore. Not among them are search_path, which the
// statements of users may depend on, and what a role may be right to have otherwise: what is
// durable (synchronous_commit, see pgstore), how plans are made but for jit, where files lie.
var pinned = map[string]string{
	// What statements mean.
	"default_transaction_isolation": "read committed", "bytea_output": "hex", "extra_float_digits": "1",
	"intervalstyle": "postgres", "array_nulls": "on",
	// Rows that a policy hides would be missing events. This makes them an error.
	"row_security": "off",
	// What ends sessions and transactions. Transactions set their own limits.
	"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0",
	"exit_on_error": "off",
	// Statements take milliseconds: compiling one takes longer, and planners that guess wrong do it.
	"jit": "off",
}

// endlessTransactions pins what servers before PostgreSQL 17 do not know, and would not let anybody
// in with.
const endlessTransactions = `(SELECT set_config('transaction_timeout', '0', false) WHERE current_setting('transaction_timeout', true) <> '0')`

// needed are the values that each of these settings may have in a session that can be used, the one
// to ask for first. Of the format of dates only the first word matters.
var needed = map[string][]string{
	"client_encoding": {"UTF8"}, "standard_conforming_strings": {"on"}, "datestyle": {"ISO"}, "bytea_output": {"hex"},
	"default_transaction_isolation": {"read committed"}, "extra_float_digits": {"1", "2", "3"}, "array_nulls": {"on"},
	// Only superusers can set it. With replica no foreign key is kept.
	"session_replication_role": {"origin", "local"},
}

// Configure prepares the connections of a pool, which must not be made yet, and those that are made
// from its configuration.
func Configure(config *pgxpool.Config) {
	s := &sessions{asking: make(chan struct{}, 1)}
	inner := *config
	s.prepare(config.ConnConfig)
	config.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error {
		if inner.BeforeConnect != nil {
			if err := inner.BeforeConnect(ctx, c); err != nil {
				return err
			}
		}
		return s.pin(ctx, c)
	}
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		conn.PgConn().CustomData()[madeKey] = time.Now()
		if err := CheckConn(ctx, conn); err != nil || inner.AfterConnect == nil {
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
	conn, _, err := connect(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := CheckConn(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

// connect makes a connection with the settings as far as the server takes them. It may refuse some
// for something else, such as too many clients: then it refuses the others as well.
func connect(ctx context.Context, config *pgx.ConnConfig) (conn *pgx.Conn, refused bool, err error) {
	all := config.Copy()
	Set(all)
	if conn, err = pgx.ConnectConfig(ctx, all); !IsStartupRefused(err) {
		return conn, false, err
	}
	bare := config.Copy()
	leavePoolOut(bare)
	maps.Copy(bare.RuntimeParams, tracked)
	conn, err = pgx.ConnectConfig(ctx, bare)
	return conn, err == nil, err
}

// Set gives a connection to the server itself the settings. A pooler may refuse it.
func Set(config *pgx.ConnConfig) {
	leavePoolOut(config)
	maps.Copy(config.RuntimeParams, tracked)
	maps.Copy(config.RuntimeParams, pinned)
}

// leavePoolOut removes what an address says of a pool, such as pool_max_conns: the server knows none of it.
func leavePoolOut(config *pgx.ConnConfig) {
	maps.DeleteFunc(config.RuntimeParams, func(name, _ string) bool { return strings.HasPrefix(name, "pool_") })
}

// Check returns a *SettingError if the connections of a pool that somebody else configured cannot
// be used.
func Check(ctx context.Context, pool *pgxpool.Pool) error {
	return pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { return CheckConn(ctx, conn.Conn()) })
}

// sessions is what the connections of a pool share.
type sessions struct {
	// asking is full while somebody finds out whether the server refuses the settings in pinned; nil:
	// nobody has.
	asking  chan struct{}
	refused atomic.Pointer[bool]
	// distrusted is the time before which sessions were made that are to be replaced.
	distrusted atomic.Pointer[time.Time]
}

const madeKey = "recount: made at"

// pin sets the settings as far as the server takes them.
func (s *sessions) pin(ctx context.Context, config *pgx.ConnConfig) error {
	refused := s.refused.Load()
	if refused == nil {
		select {
		case s.asking <- struct{}{}:
			defer func() { <-s.asking }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if refused = s.refused.Load(); refused == nil {
			refused = s.ask(ctx, config)
		}
	}
	if *refused {
		maps.Copy(config.RuntimeParams, tracked)
	} else {
		Set(config)
	}
	return nil
}

// ask finds out whether the server refuses the settings. Without an answer the connection that is
// being made will tell what is the matter.
func (s *sessions) ask(ctx context.Context, config *pgx.ConnConfig) *bool {
	conn, refused, err := connect(ctx, config)
	if err == nil {
		_ = conn.Close(ctx)
		s.refused.Store(&refused)
	}
	return &refused
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

// CheckConn returns a *SettingError if a session cannot be used.
func CheckConn(ctx context.Context, conn *pgx.Conn) error {
	names := slices.Sorted(maps.Keys(needed))
	results, err := conn.PgConn().Exec(ctx, "SELECT current_setting('"+strings.Join(names, "'), current_setting('")+"'), "+endlessTransactions).ReadAll()
	if err != nil {
		return fmt.Errorf("look at the settings of the session: %w", err)
	}
	for i, name := range names {
		value := string(results[0].Rows[0][i])
		first, _, _ := strings.Cut(value, ",")
		if !slices.Contains(needed[name], first) {
			return &SettingError{Name: name, Value: value, Want: needed[name][0]}
		}
	}
	return nil
}

// Retry runs a read, and again if its session was lost. A read changes nothing that a second one
// would change again. Sessions that ended together are met one after the other, hence more than two
// tries.
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
