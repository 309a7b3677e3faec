package projections

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/operations"
)

func TestMain(m *testing.M) {
	// Histories take a quarter of a second each. For more: -rapid.checks.
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "rapid.checks" })
	if !asked {
		if err := flag.Set("rapid.checks", "25"); err != nil {
			panic(err)
		}
	}
	pgtest.Main(m)
}

// bench is a log and a database for a test.
type bench struct {
	testing.TB
	db    *pgtest.DB
	store eventstore.Store
	codec *eventstore.Codec
	admin *Admin
	// mode is how the connections of its runners execute statements. Default: pgx's.
	mode pgx.QueryExecMode
	// counted is what the projections of its runners count.
	counted map[pglog.Projection]eventstore.Filter
}

func newBench(t testing.TB) *bench {
	t.Helper()
	return newJudged(t, memstore.New(memstore.Config{}))
}

// newJudged returns a bench whose log and checkpoints are judged when the test ends.
func newJudged(t testing.TB, store eventstore.Store) *bench {
	t.Helper()
	b := newBenchOn(t, pgtest.New(t), store)
	logtest.Projections(t, b.db, store, b.counted)
	return b
}

// newUnjudged is newBench for a test that ends with something broken.
func newUnjudged(t testing.TB) *bench {
	t.Helper()
	return newBenchOn(t, pgtest.New(t), memstore.New(memstore.Config{}))
}

func newBenchOn(t testing.TB, db *pgtest.DB, store eventstore.Store) *bench {
	t.Helper()
	return &bench{TB: t, db: db, store: store, codec: newCodec(t), admin: NewAdmin(db.Pool, db.Schema, store),
		counted: make(map[pglog.Projection]eventstore.Filter)}
}

func (b *bench) pool() *pgxpool.Pool { return b.db.Pool }

// append writes the events as one append and returns the place behind it.
func (b *bench) append(stream string, values ...any) eventstore.Token {
	b.Helper()
	a := eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any}
	for _, v := range values {
		e, ok := v.(eventstore.Event)
		if !ok {
			var err error
			if e, err = b.codec.Encode(v); err != nil {
				b.Fatal(err)
			}
		}
		a.Events = append(a.Events, e)
	}
	done, err := b.store.Append(b.Context(), a, eventstore.AppendOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return done.Token
}

func (b *bench) config() Config {
	return Config{
		Pool:         b.newPool(),
		Schema:       b.db.Schema,
		Store:        b.store,
		Codec:        b.codec,
		Logger:       zerolog.New(zerolog.NewTestWriter(b.TB)),
		LeaseTTL:     300 * time.Millisecond,
		PollInterval: 20 * time.Millisecond,
	}
}

// runner returns a runner that was not started, and is stopped at the end.
func (b *bench) runner(projections ...Projection) *Runner {
	b.Helper()
	return b.leasing(b.config().LeaseTTL, projections...)
}

// leasing is runner, with leases that last so long: on a busy machine short ones may end because
// they are renewed too late, which must not happen where a test is about who has one.
func (b *bench) leasing(ttl time.Duration, projections ...Projection) *Runner {
	b.Helper()
	c := b.config()
	c.LeaseTTL = ttl
	r, err := NewRunner(c, projections...)
	if err != nil {
		b.Fatal(err)
	}
	for i, p := range projections {
		b.counted[pglog.Projection{Name: p.Name(), Version: p.Version()}] = eventstore.Filter{Types: r.workers[i].runs.types()}
	}
	b.Cleanup(func() { b.stop(r) })
	return r
}

func (b *bench) start(r *Runner) *Runner {
	b.Helper()
	return b.startIn(b.Context(), r)
}

// startIn is start in a context, which may be one of failpoint.On.
func (b *bench) startIn(ctx context.Context, r *Runner) *Runner {
	b.Helper()
	if err := r.Start(ctx); err != nil {
		b.Fatal(err)
	}
	return r
}

func (b *bench) stop(r *Runner) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		b.Errorf("Stop: %v", err)
	}
}

// eventually waits until check returns nil.
func (b *bench) eventually(check func() error) {
	b.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			b.Fatalf("after a minute: %v", err)
		}
	}
}

// arrives waits until a runner runs a projection and has taken it to a place in the log.
func (b *bench) arrives(r *Runner, projection string, want eventstore.Token) {
	b.Helper()
	b.eventually(func() error {
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		defer cancel()
		if at, here := r.WaitFor(ctx, projection, want); !here || at.Before(want) {
			return fmt.Errorf("%s is at position %d (here: %v), want %d", projection, at.Position, here, want.Position)
		}
		return nil
	})
}

// status returns the status of the newest generation of a projection.
func (b *bench) status(projection string) Status {
	b.Helper()
	all, err := b.admin.Show(b.Context(), projection)
	if err != nil {
		b.Fatal(err)
	}
	return all[len(all)-1]
}

// reaches waits until the newest generation is in a state, at least at a position.
func (b *bench) reaches(projection string, state operations.State, position int64) Status {
	b.Helper()
	var s Status
	b.eventually(func() error {
		s = b.status(projection)
		if s.State != state || s.Position < position {
			return fmt.Errorf("%s is %q at position %d (%+v %+v), want %q at %d", projection, s.State, s.Position, s.Failure, s.Trouble, state, position)
		}
		return nil
	})
	return s
}

// rows returns the rows of a generation's table by key.
func (b *bench) rows(f *Fold[string, account], table string) map[string]account {
	b.Helper()
	runs, errs := f.prepare(b.codec)
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	p := runs.(*foldProjector[string, account])
	m := newMemory(p)
	rows, err := b.pool().Query(b.Context(), `SELECT id FROM `+tableName{b.db.Schema, table}.String())
	if err != nil {
		b.Fatal(err)
	}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			b.Fatal(err)
		}
		m.want(id)
	}
	if err := errors.Join(rows.Err(), p.load(b.Context(), b.pool(), tableName{b.db.Schema, table}, math.MaxInt, m)); err != nil {
		b.Fatal(err)
	}
	out := make(map[string]account)
	for id, e := range m.entries {
		out[id] = *e.row
	}
	return out
}

func ptr[T any](v T) *T { return &v }

func (b *bench) events() []eventstore.RecordedEvent {
	b.Helper()
	var all []eventstore.RecordedEvent
	for e, err := range b.store.ReadAll(b.Context(), eventstore.ReadOptions{}) {
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, e)
	}
	return slices.Clip(all)
}

// cutConnections ends all connections to the database but those of the test itself.
func (b *bench) cutConnections() {
	b.Helper()
	if b.db.BehindPooler() {
		return // its connections are its own to lose, and to make again
	}
	_, err := b.pool().Exec(b.Context(), `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'runner'`)
	if err != nil {
		b.Fatal(err)
	}
}

// newPool returns connections as another process would have.
func (b *bench) newPool() *pgxpool.Pool {
	b.Helper()
	return b.db.NewPool(b, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["application_name"] = "runner"
		if b.mode != 0 {
			c.ConnConfig.DefaultQueryExecMode = b.mode
		}
	})
}
