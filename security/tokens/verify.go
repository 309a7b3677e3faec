package tokens

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"sync/atomic"
	"time"

	"github.com/57528e99/recount/security"
)

const (
	// maxAge is how long what was read of the tokens holds, from when the database was asked: what is made or revoked is so
	// everywhere then. Who finds it older than refreshAge reads it anew, while others go on.
	maxAge     = time.Second
	refreshAge = maxAge / 2
	// unknownAge is the same for a token that nobody has: who tries many has the database asked as often. Where it takes long it is
	// unknownTimes as long as that took, so that they have a part of one connection at most.
	unknownAge   = maxAge / 10
	unknownTimes = 10
	// readTimeout bounds a read of the tokens.
	readTimeout = 5 * time.Second
	// useInterval is how exactly the time of the last use is kept.
	useInterval = time.Minute
	// useTimeout bounds what a request waits for that to be noted.
	useTimeout = 250 * time.Millisecond
)

// known are the tokens as they were read last.
type known struct {
	current atomic.Pointer[snapshot]
	reading chan struct{} // is full while somebody reads them
	// failed is when that failed last, and err why.
	failed time.Time
	err    error
}

type snapshot struct {
	// at is when the database was asked, took how long it took to read what it said.
	at   time.Time
	took time.Duration
	byID map[string]*entry
}

type entry struct {
	hash      [sha256.Size]byte
	principal security.Principal
	revoked   bool
	// expires is by the clock of this process, which only measures how long it is from at; zero: never.
	expires time.Time
	// used is when a use was noted, in nanoseconds since 1970. It outlives the snapshot.
	used *atomic.Int64
}

const (
	// Of those that ended a while ago nobody needs to be told so.
	selectKnown = `
SELECT id, name, hash, roles, categories, prefixes, revoked_at IS NOT NULL,
       extract(epoch FROM expires_at - clock_timestamp())::float8
FROM {schema}.tokens
WHERE app = $1 AND coalesce(least(revoked_at, expires_at) > clock_timestamp() - interval '1 day', true)`

	// noteUse leaves it to the next one if somebody else has the row.
	noteUse = `
UPDATE {schema}.tokens SET last_used_at = clock_timestamp()
WHERE id = (SELECT id FROM {schema}.tokens
            WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - make_interval(secs => $2))
            FOR UPDATE SKIP LOCKED)`
)

// Verify returns who a token is. Of a text that is not the token of anybody, or not any more, the error is
// *security.Unauthenticated. A token that was revoked a second ago is refused, and one that was made then is known: if the database cannot be
// asked the error is what it says.
func (s *Store) Verify(ctx context.Context, text string) (security.Principal, error) {
	id, ok := security.TokenID(text)
	if !ok {
		return security.Principal{}, &security.Unauthenticated{Reason: security.ReasonMalformed}
	}
	all, err := s.snapshot(ctx, refreshAge)
	if err == nil && all.byID[id] == nil {
		all, err = s.snapshot(ctx, min(refreshAge, max(unknownAge, unknownTimes*all.took))) // it may have been made meanwhile
	}
	if err != nil {
		return security.Principal{}, err
	}
	e := all.byID[id]
	hash := security.TokenHash(text)
	if e == nil || subtle.ConstantTimeCompare(e.hash[:], hash[:]) != 1 {
		return security.Principal{}, &security.Unauthenticated{Reason: security.ReasonUnknown, Token: id}
	}
	now := time.Now()
	if e.revoked {
		return security.Principal{}, &security.Unauthenticated{Reason: security.ReasonRevoked, Token: id}
	}
	if !e.expires.IsZero() && !now.Before(e.expires) {
		return security.Principal{}, &security.Unauthenticated{Reason: security.ReasonExpired, Token: id}
	}
	if last := e.used.Load(); now.UnixNano()-last > int64(useInterval) && e.used.CompareAndSwap(last, now.UnixNano()) {
		ctx, cancel := context.WithTimeout(ctx, useTimeout)
		defer cancel()
		// That nobody knows of the use is no reason to refuse it: the database may take no writes.
		_, _ = s.pool.Exec(ctx, s.sql(noteUse), id, useInterval.Seconds())
	}
	return e.principal, nil
}

// snapshot returns the tokens as they were maxAge ago, or later. What is older than refresh is read anew.
func (s *Store) snapshot(ctx context.Context, refresh time.Duration) (*snapshot, error) {
	begun := time.Now()
	if now := s.known.current.Load(); now != nil && time.Since(now.at) < refresh {
		return now, nil
	}
	waited := false
	select {
	case s.known.reading <- struct{}{}:
	default:
		if now := s.known.current.Load(); now != nil && time.Since(now.at) < maxAge {
			return now, nil
		}
		select {
		case s.known.reading <- struct{}{}:
			waited = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	defer func() { <-s.known.reading }()
	now := s.known.current.Load()
	// Somebody else may have read them meanwhile. However long that took, it is what this request wants.
	if now != nil && (time.Since(now.at) < refresh || waited && now.at.After(begun.Add(-maxAge))) {
		return now, nil
	}
	if s.known.failed.After(begun) {
		return nil, s.known.err // or has failed to: those who wait do not try one after the other
	}
	// Who comes next wants them too, so it does not end with this request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	next, err := s.read(ctx, now)
	if err != nil {
		if now != nil && time.Since(now.at) < maxAge {
			return now, nil
		}
		s.known.failed, s.known.err = time.Now(), err
		return nil, err
	}
	s.known.current.Store(next)
	return next, nil
}

func (s *Store) read(ctx context.Context, before *snapshot) (*snapshot, error) {
	next := &snapshot{at: time.Now(), byID: make(map[string]*entry)}
	rows, err := s.pool.Query(ctx, s.sql(selectKnown), s.app)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		e := &entry{used: new(atomic.Int64)}
		var id string
		var hash []byte
		var roles []string
		var left *float64
		p := &e.principal
		if err := rows.Scan(&id, &p.Name, &hash, &roles, &p.Scope.Categories, &p.Scope.Prefixes, &e.revoked, &left); err != nil {
			return nil, err
		}
		p.Token = id
		copy(e.hash[:], hash)
		for _, role := range roles {
			p.Roles = append(p.Roles, security.Action(role))
		}
		if left != nil {
			e.expires = next.at.Add(time.Duration(*left * float64(time.Second)))
		}
		if before != nil && before.byID[id] != nil {
			e.used = before.byID[id].used
		}
		next.byID[id] = e
	}
	next.took = time.Since(next.at)
	return next, rows.Err()
}
