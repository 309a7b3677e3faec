package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgsql"
)

// rival is a store that is compared, with nothing in it to begin with.
type rival struct {
	name        string
	appendsOnly bool
	store       Store
	// vacuum does what the server does in time for a store that was filled long ago.
	vacuum func(ctx context.Context) error
	// begun is how many streams it was told to begin.
	begun atomic.Int64
}

// appends is a contender that appends so many events at a time, each time to a new stream.
func (r *rival) appends(events int) contender {
	return contender{r.name, func(ctx context.Context, _ int) (int, error) {
		return events, r.store.Append(ctx, r.begun.Add(1), events)
	}}
}

// maxPool is how many callers have a connection for themselves. More would make all stores but the
// one that needs a single connection slower, on any server that this is run on.
const maxPool = 64

func poolSize(callers int) int { return min(callers, maxPool) + storeConns }

// stage opens Recount, the baselines and the peers, all of them empty, and removes them when use is
// done.
func (c Compare) stage(ctx context.Context, env *Env, callers int, use func([]*rival) error) error {
	return env.with(ctx, min(callers, maxPool), func(s *scratch) (err error) {
		log, err := newLogStore(s)
		if err != nil {
			return err
		}
		vacuum := func(tables string) func(context.Context) error {
			return func(ctx context.Context) error {
				_, err := s.pool.Exec(ctx, `VACUUM ANALYZE `+tables)
				return err
			}
		}
		rivals := []*rival{{name: nameRecount, store: log, vacuum: vacuum("events, streams")}}
		for _, name := range []string{nameCounterRow, nameUnordered} {
			base, err := newBaseStore(ctx, s, name)
			if err != nil {
				return err
			}
			rivals = append(rivals, &rival{name: name, store: base, vacuum: vacuum(base.quoted())})
		}
		for _, p := range c.Peers {
			r, remove, err := env.openPeer(ctx, p, poolSize(callers))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, remove()) }()
			rivals = append(rivals, r)
		}
		return use(rivals)
	})
}

// openPeer opens a peer in a database of its own: some know no other way to keep apart.
func (e *Env) openPeer(ctx context.Context, p Peer, connections int) (_ *rival, remove func() error, err error) {
	name := "recount_bench_" + strings.ToLower(rand.Text()[:8])
	if err := execAt(ctx, e.dsn, `CREATE DATABASE `+pgsql.Name(name)); err != nil {
		return nil, nil, fmt.Errorf("make a database for %s: %w", p.Name, err)
	}
	drop := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return execAt(ctx, e.dsn, `DROP DATABASE `+pgsql.Name(name)+` WITH (FORCE)`)
	}
	dsn, err := inDatabase(e.dsn, name)
	if err != nil {
		return nil, nil, errors.Join(err, drop())
	}
	store, err := p.Open(ctx, dsn, connections)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open %s: %w", p.Name, err), drop())
	}
	vacuum := func(ctx context.Context) error { return execAt(ctx, dsn, `VACUUM ANALYZE`) }
	remove = func() error { return errors.Join(store.Close(context.WithoutCancel(ctx)), drop()) }
	return &rival{name: p.Name, appendsOnly: p.AppendsOnly, store: store, vacuum: vacuum}, remove, nil
}

// execAt executes a statement on a connection of its own.
func execAt(ctx context.Context, dsn, sql string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

// inDatabase returns an address with another database.
func inDatabase(dsn, name string) (string, error) {
	if !strings.Contains(dsn, "://") {
		return dsn + " dbname=" + name, nil // the last one counts
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("the database's address is no URL") // which may have a password in it
	}
	u.Path = "/" + name
	return u.String(), nil
}
