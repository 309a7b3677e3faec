package pgstore

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/lease"
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
	if _, err := conn.Exec(ctx, "LISTEN "+pgsql.Name(pgsql.Channel(s.cfg.Schema))); err != nil {
		closeConn(ctx, conn.Conn)
		return nil, err
	}
	s.leaseReleased("") // any may have been given back before
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

// heard takes the sender and the end of the log from a notification, or whose lease was
// given back. Only one that does not fit what is known of the log costs a look at it.
func (s *Store) heard(ctx context.Context, payload string) error {
	if of, ok := strings.CutPrefix(payload, lease.Released); ok {
		s.leaseReleased(of)
		return nil
	}
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

// OnLeaseReleased calls told whenever a process has given back a lease of internal/lease in the
// schema, with the name or id of what it was for, and with "" when that may have been missed, until
// stop is called. It tells nothing where Config.NoListen is set.
func (s *Store) OnLeaseReleased(told func(of string)) (stop func()) {
	key := new(byte)
	s.onReleased.Store(key, told)
	return func() { s.onReleased.Delete(key) }
}

func (s *Store) leaseReleased(of string) {
	s.onReleased.Range(func(_, told any) bool {
		told.(func(string))(of)
		return true
	})
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
		_, _ = conn.Exec(ctx, "SELECT pg_notify($1, $2)", pgsql.Channel(s.cfg.Schema), s.sender+" "+in.token(end).String())
	}
	return conn
}
