package queries

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/pgsession"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/projections"
)

// Config says where a Reader reads.
type Config struct {
	// Pool is the database with the rows.
	Pool *pgxpool.Pool
	// InMemory has the rows of folds, if there is no Pool: for Get and Find. Log must be set then.
	InMemory *projections.InMemory
	// Schema has the tables. Default: recount.
	Schema string
	// Projections are those that this program knows: SQL reads the generations of their versions.
	// Of others it reads what their views show. Default: none.
	Projections []projections.Projection
	// Follower tells at once when a projection that runs in this process has come far enough, as
	// *projections.Runner does. Default: none, the database is asked every 10 to 50 ms.
	Follower Follower
	// Log settles whether a token from before a restore of the log still holds, and whether one that
	// is waited for in vain is of the log at all. Default: none, the first are
	// *eventstore.LogChangedError and the others *BehindError.
	Log eventstore.Reader
	// Wait is how long a read waits for its token if its context has no deadline and is not one of
	// WithWait. Default: 1s.
	Wait time.Duration
}

// Follower is who knows how far projections in this process are.
type Follower interface {
	// WaitFor waits until the projection has come to want, or ctx ends, and returns where it is. It
	// returns at once if want is of another log, and, with here false, if the projection does not
	// run here.
	WaitFor(ctx context.Context, projection string, want eventstore.Token) (at eventstore.Token, here bool)
}

// Reader reads projections' rows. It is safe for concurrent use.
type Reader struct {
	config   Config
	versions map[string]int

	mu sync.RWMutex
	// serving caches which generation to read; every read checks it.
	serving map[source]projections.Serving
}

// source is a version of a projection; 0: the one that its view shows.
type source struct {
	projection string
	version    int
}

// NewReader returns a reader.
func NewReader(c Config) (*Reader, error) {
	if c.Pool == nil && (c.InMemory == nil || c.Log == nil) {
		return nil, errors.New("queries.Config.Pool must be set, or InMemory and Log")
	}
	if c.Schema == "" {
		c.Schema = pgsql.DefaultSchema
	}
	if c.Wait <= 0 {
		c.Wait = time.Second
	}
	r := &Reader{config: c, versions: make(map[string]int), serving: make(map[source]projections.Serving)}
	for _, p := range c.Projections {
		r.versions[p.Name()] = p.Version()
	}
	return r, nil
}

// query queues the statements that read rows. Of tables it gets those of its sources, in order,
// quoted. Callbacks of the batch ask use whether these were the right tables; if not, the query
// runs again with others.
type query func(b *pgx.Batch, tables []string, use func() bool)

// read runs a query when all sources have come to the token, and returns how far the rows are. A
// token that no source can ever come to is a *eventstore.LogChangedError.
func (r *Reader) read(ctx context.Context, sources []source, token eventstore.Token, q query) (eventstore.Token, error) {
	at, err := r.await(ctx, sources, token, q)
	if errors.Is(err, ErrBehind) && r.config.Log != nil {
		// Of another error of the log, the time being up above all, there is nothing to learn.
		if changed := r.inLog(ctx, token); errors.Is(changed, eventstore.ErrLogChanged) {
			err = changed
		}
	}
	return at, err
}

func (r *Reader) await(ctx context.Context, sources []source, token eventstore.Token, q query) (eventstore.Token, error) {
	waiting, cancel := r.waiting(ctx)
	defer cancel()
	const shortest, longest = 10 * time.Millisecond, 50 * time.Millisecond
	var last error
	for pause := shortest; ; pause = min(2*pause, longest) {
		if err := r.follow(waiting, sources, token); err != nil {
			return eventstore.Token{}, err
		}
		var at eventstore.Token
		err := pgsession.Retry(ctx, func() (err error) {
			at, err = r.once(ctx, sources, token, q)
			return err
		})
		var behind *BehindError
		switch {
		case !errors.As(err, &behind):
			if err != nil && ctx.Err() != nil && last != nil {
				err = last // it was cut off while it waited
			}
			return at, err
		case behind.stopped:
			return at, err
		}
		last = err
		if !background.Sleep(waiting, pause) {
			return at, err
		}
	}
}

// follow waits for those sources that run in this process, without asking the database.
func (r *Reader) follow(ctx context.Context, sources []source, token eventstore.Token) error {
	if r.config.Follower == nil || token.IsZero() {
		return nil
	}
	for _, s := range sources {
		at, here := r.config.Follower.WaitFor(ctx, s.projection, token)
		if here && at.Before(token) {
			return &BehindError{Projection: s.projection, Position: at.Position, Want: token.Position}
		}
	}
	return nil
}

// once runs a query in one round trip, unless the cached generations are no longer those to read.
func (r *Reader) once(ctx context.Context, sources []source, token eventstore.Token, q query) (eventstore.Token, error) {
	for try := 1; ; try++ {
		cached, err := r.cached(ctx, sources)
		if err != nil {
			return eventstore.Token{}, err
		}
		found := make([]projections.Serving, len(sources))
		use := func() bool { return same(cached, found) }
		tables := make([]string, len(sources))
		var batch pgx.Batch
		for i, s := range sources {
			projections.QueueServing(&batch, r.config.Schema, s.projection, s.version, &found[i])
			tables[i] = cached[i].Table
		}
		q(&batch, tables, use)
		err = r.config.Pool.SendBatch(ctx, &batch).Close()
		if !use() && (err == nil || pgerr.Is(err, pgerr.NoTable) || errors.Is(err, projections.ErrNotFound)) {
			r.forget(sources)
			continue
		}
		if pgerr.Is(err, pgerr.NoTable) && try == 1 {
			// Replaced and removed just between the two statements; again, once.
			r.forget(sources)
			continue
		}
		if err != nil {
			return eventstore.Token{}, err
		}
		return lowest(found), r.check(ctx, sources, found, token)
	}
}

func same(a, b []projections.Serving) bool {
	for i := range a {
		if a[i].Table != b[i].Table {
			return false
		}
	}
	return true
}

// lowest returns the place that the rows of all sources have come to.
func lowest(found []projections.Serving) eventstore.Token {
	at := found[0].Checkpoint
	for _, s := range found[1:] {
		if s.Checkpoint.Position < at.Position {
			at = s.Checkpoint
		}
	}
	return at
}

// cached returns the generations to read, as far as is known.
func (r *Reader) cached(ctx context.Context, sources []source) ([]projections.Serving, error) {
	cached := make([]projections.Serving, len(sources))
	for i, s := range sources {
		r.mu.RLock()
		found, ok := r.serving[s]
		r.mu.RUnlock()
		if !ok {
			var batch pgx.Batch
			projections.QueueServing(&batch, r.config.Schema, s.projection, s.version, &found)
			err := r.config.Pool.SendBatch(ctx, &batch).Close()
			if errors.Is(err, projections.ErrNotFound) {
				return nil, &BehindError{Projection: s.projection, Reason: "no process has run this version of it yet"}
			}
			if err != nil {
				return nil, fmt.Errorf("find projection %s: %w", s.projection, err)
			}
			r.mu.Lock()
			r.serving[s] = found
			r.mu.Unlock()
		}
		cached[i] = found
	}
	return cached, nil
}

func (r *Reader) forget(sources []source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range sources {
		delete(r.serving, s)
	}
}
