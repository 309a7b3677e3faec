package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/app/telemetry"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/adminapi"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
	"github.com/57528e99/recount/shop"
)

// Roles are the parts of a backend that a process can run.
const (
	roleAPI         = "api"
	roleProjections = "projections"
)

// backendConfig says which parts of a backend to run, and on which log.
type backendConfig struct {
	dsn, schema string
	roles       []string
	maxConns    int32 // of the pool; the log has up to three beyond
	logger      zerolog.Logger
	// snapshotEvery is that of shop.Config.
	snapshotEvery map[string]int
	// buildOnCommand is that of projections.Config.
	buildOnCommand bool
	// ignoreTypes and dropUnusedAfter are those of projections.Config.
	ignoreTypes     []string
	dropUnusedAfter time.Duration
	// adoptLog says that the log may be one that other Apps have.
	adoptLog bool
}

func (c backendConfig) has(role string) bool { return slices.Contains(c.roles, role) }

// backend is the parts of a running server: the same ones for dev and serve.
type backend struct {
	pool   *pgxpool.Pool
	store  *pgstore.Store
	runner *projections.Runner // nil without the role
	api    *httpapi.API
	// metrics are served on a listener of their own.
	metrics *telemetry.Metrics
	ballast []byte
}

// ballastBytes counts as memory in use, and is never touched, so that it takes none. Garbage is collected
// when there is as much of it as there is memory in use: for the few MiB of a server that would be for
// every few hundred requests, and took a tenth of their time.
const ballastBytes = 32 << 20

// openBackend connects to a migrated database and starts what runs in the background. Close stops
// it.
func openBackend(ctx context.Context, c backendConfig) (_ *backend, err error) {
	about := readBuild()
	b := &backend{ballast: make([]byte, ballastBytes), metrics: telemetry.New(telemetry.Build{Version: about.Version, Revision: about.Revision, Go: about.Go})}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close(ctx))
		}
	}()
	if b.pool, err = openPool(ctx, c.dsn, c.maxConns); err != nil {
		return nil, err
	}
	b.store, err = pgstore.Open(ctx, pgstore.Config{
		Pool: b.pool, Schema: c.schema, ObserveAppend: b.metrics.Append, ObserveBatch: b.metrics.Batch,
	})
	if err != nil {
		return nil, err
	}
	if err := b.store.CheckAdopted(ctx); err != nil {
		// Reads work all the same, and somebody may want to look before adopting it.
		c.logger.Error().Err(err).Str("hint", hint.Of(err, "")).Msg("appends are disabled")
	}
	s, err := newService(b.pool, c.schema, b.store, shop.Config{
		SnapshotEvery: c.snapshotEvery, Logger: c.logger, Observe: b.metrics.Command,
	})
	if err != nil {
		return nil, err
	}
	admin := s.admin()
	enter := admin.Enter
	if c.adoptLog {
		enter = admin.Join
	}
	if err := enter(ctx); err != nil {
		return nil, err
	}
	if c.has(roleProjections) {
		if err := b.startProjections(ctx, c, s); err != nil {
			return nil, err
		}
	}
	b.metrics.Watch(telemetry.Sources{Pool: b.pool, Store: b.store, Admin: admin, Known: s.projections, Runner: b.runner})
	return b, b.makeAPI(c, s, admin)
}

func (b *backend) startProjections(ctx context.Context, c backendConfig, s *service) error {
	runner, err := s.runner(projections.Config{BuildOnCommand: c.buildOnCommand, IgnoreTypes: c.ignoreTypes, DropUnusedAfter: c.dropUnusedAfter})
	if err != nil {
		return err
	}
	// They run until close, not only until ctx ends: requests that are still served wait for them.
	if err := runner.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start projections: %w", err)
	}
	b.runner = runner
	return nil
}

// makeAPI makes the routes. A process without the role has those for its health only.
func (b *backend) makeAPI(c backendConfig, s *service, admin *projections.Admin) (err error) {
	b.api, err = httpapi.New(httpapi.Config{
		Logger: c.logger, Problems: append(shop.Problems(), adminapi.Problems()...), Observe: b.metrics.Request,
		Hint: func(err error) string { return hint.Of(err, "") },
	})
	if err != nil {
		return err
	}
	b.api.AddCheck("database", func(ctx context.Context) error {
		_, err := b.store.Head(ctx)
		return err
	})
	b.api.AddCheck("log", b.store.CheckAdopted)
	b.api.AddCheck("appends", b.store.CheckWritable)
	b.api.AddDetail("projections", func(ctx context.Context) (any, error) { return admin.List(ctx) })
	b.api.AddCheck("migrations", func(ctx context.Context) error {
		// On the pool: requests must not open connections as they like.
		now, err := migrations.StatusOf(ctx, b.pool, c.schema)
		return cmp.Or(err, usable(c.schema, now))
	})
	if !c.has(roleAPI) {
		return nil
	}
	read := queries.Config{Pool: b.pool, Schema: c.schema, Projections: shop.Projections(), Log: b.store}
	if b.runner != nil {
		read.Follower = b.runner
	}
	reader, err := queries.NewReader(read)
	if err != nil {
		return err
	}
	history, err := projections.NewHistory(projections.HistoryConfig{
		Pool: b.pool, Schema: c.schema, Store: b.store, Codec: s.codec, IgnoreTypes: c.ignoreTypes,
	})
	if err != nil {
		return err
	}
	s.shop.Register(b.api, reader, history)
	adminapi.Register(b.api, admin)
	return nil
}

// serve answers requests until ctx ends, and those that are being worked on then. Operators are served
// on admin, unless it is nil, for as long.
func (b *backend) serve(ctx context.Context, ln, admin net.Listener) error {
	if admin == nil {
		return b.api.Serve(ctx, ln, httpapi.ServeOptions{})
	}
	adminCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	served := make(chan error, 1)
	go func() { served <- b.metrics.Serve(adminCtx, admin) }()
	err := b.api.Serve(ctx, ln, httpapi.ServeOptions{})
	stop()
	return errors.Join(err, <-served)
}

// close stops what runs, from the outside in: projections give their leases back, the appender
// writes what waits. It may be called for a backend that is only partly open.
func (b *backend) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*closeTimeout)
	defer cancel()
	var errs []error
	if b.runner != nil {
		if err := b.runner.Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop projections: %w", err))
		}
	}
	if b.store != nil {
		errs = append(errs, b.store.Close(ctx))
	}
	if b.pool != nil {
		errs = append(errs, closePool(ctx, b.pool))
	}
	return errors.Join(errs...)
}
