package pgstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgsql"
)

const (
	// notifyInterval is the least time between two notifications: they take a
	// lock that all of the server's notifying commits share.
	notifyInterval = 2 * time.Millisecond
	purgeInterval  = 10 * time.Minute
	// purgeBatch is how many receipts one statement removes.
	purgeBatch = 5000
	// stallTimeout is how long a background statement may take: on a connection
	// whose other end is gone it would never end.
	stallTimeout = 10 * time.Second
)

// runBackground runs what the store does besides its callers' work until ctx is
// done. All of it may fail: subscriptions then find new events by polling.
func (s *Store) runBackground(ctx context.Context) {
	var group sync.WaitGroup
	group.Go(func() { s.poll(ctx) })
	group.Go(func() { s.purge(ctx) })
	if !s.cfg.NoListen {
		group.Go(func() { s.listen(ctx) })
		group.Go(func() { s.notify(ctx) })
	}
	group.Wait()
}

// poll looks for events of other processes.
func (s *Store) poll(ctx context.Context) {
	every(ctx, s.cfg.PollInterval, func() {
		// The next round, or a notification, tries again.
		_ = s.look(ctx)
	})
}

// look finds out how far the log reaches.
func (s *Store) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stallTimeout)
	defer cancel()
	_, err := s.Head(ctx)
	return err
}

// purge removes receipts that are old enough, by the clock that dated them.
func (s *Store) purge(ctx context.Context) {
	if s.cfg.ReceiptTTL < 0 {
		return
	}
	every(ctx, min(purgeInterval, s.cfg.ReceiptTTL), func() {
		// There may be many to remove; what is left is the next round's.
		ctx, cancel := context.WithTimeout(ctx, purgeInterval)
		defer cancel()
		var now time.Time
		if err := s.cfg.Pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now); err == nil {
			_, _ = s.PurgeReceipts(ctx, now.Add(-s.cfg.ReceiptTTL))
		}
	})
}

func every(ctx context.Context, interval time.Duration, f func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		f()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// channel names the notifications of the log. PostgreSQL takes names of 63 bytes:
// that of a longer one, and the end of the schema's name, are in a hash.
func (s *Store) channel() string {
	const limit, suffix, hashed = 63, "_log", 16
	name := s.cfg.Schema + suffix
	if len(name) <= limit {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	end := "_" + hex.EncodeToString(sum[:])[:hashed] + suffix
	return strings.ToValidUTF8(name[:limit-len(end)], "") + end
}

// listen wakes subscriptions when another process says that it appended.
func (s *Store) listen(ctx context.Context) {
	pause := newBackoff()
	for ctx.Err() == nil {
		if conn, err := s.listener(ctx); err == nil {
			pause.Reset()
			s.hear(ctx, conn)
			closeConn(ctx, conn.Conn)
		}
		background.Sleep(ctx, pause.Next())
	}
}

// listener makes a connection that listens.
func (s *Store) listener(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, stallTimeout)
	defer cancel()
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "LISTEN "+pgsql.Name(s.channel())); err != nil {
		closeConn(ctx, conn.Conn)
		return nil, err
	}
	return conn, nil
}

// hear learns from notifications how far the log reaches, until something fails.
func (s *Store) hear(ctx context.Context, conn *session) {
	for {
		n, err := conn.WaitForNotification(ctx)
		if err == nil {
			err = s.heard(ctx, n.Payload)
		}
		if err != nil {
			return
		}
	}
}

// heard takes the sender and the end of the log from a notification. Only one that
// does not fit what is known of the log costs a look at it.
func (s *Store) heard(ctx context.Context, payload string) error {
	sender, text, _ := strings.Cut(payload, " ")
	if sender == s.sender {
		return nil // what this process appended it knows
	}
	if end, err := eventstore.ParseToken(text); err == nil && s.incarnation().isIncarnationOf(end) {
		s.hub.seen(end.Position)
		return nil
	}
	return s.look(ctx)
}

// notify tells other processes that this one appended: after the commit, on a
// connection of its own, and as rarely as the delay allows.
func (s *Store) notify(ctx context.Context) {
	var conn *session
	defer func() {
		if conn != nil {
			closeConn(ctx, conn.Conn)
		}
	}()
	for {
		select {
		case <-s.hub.notify:
		case <-ctx.Done():
			return
		}
		conn = s.notifyOn(ctx, conn)
		select {
		case <-time.After(notifyInterval):
		case <-ctx.Done():
			return
		}
	}
}

// notifyOn sends a notification on conn, or on a new connection, and returns the
// one it used. A notification that is lost is made up for by polling.
func (s *Store) notifyOn(ctx context.Context, conn *session) *session {
	ctx, cancel := context.WithTimeout(ctx, stallTimeout)
	defer cancel()
	if conn == nil || conn.IsClosed() {
		var err error
		if conn, err = s.connect(ctx); err != nil {
			return nil
		}
	}
	if failpoint.Fail(failpoint.NotifySend) == nil {
		in := s.incarnation()
		end, _ := s.hub.state()
		_, _ = conn.Exec(ctx, "SELECT pg_notify($1, $2)", s.channel(), s.sender+" "+in.token(end).String())
	}
	return conn
}
