package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/snapshots"
)

// appName is the name of the program in the databases that it works on: what it makes there is its own.
const appName = "shop"

// service is the shop on a log with what runs it: the same for a server, and for a command that works
// on the database itself.
type service struct {
	pool      *pgxpool.Pool
	schema    string
	log       *pgstore.Store
	codec     *eventstore.Codec
	shop      *shop.Shop
	snapshots *snapshots.Store
	logger    zerolog.Logger
	// projections are the read models of the shop, and what makes its snapshots.
	projections []projections.Projection
}

// newService fills in c.Snapshots.
func newService(pool *pgxpool.Pool, schema string, log *pgstore.Store, c shop.Config) (*service, error) {
	codec, err := shop.NewCodec()
	if err != nil {
		return nil, err
	}
	s := &service{pool: pool, schema: schema, log: log, codec: codec, snapshots: snapshots.NewStore(pool, schema).ForApp(appName), logger: c.Logger}
	c.Snapshots = s.snapshots
	if s.shop, err = shop.New(log, codec, c); err != nil {
		return nil, err
	}
	s.projections = append(shop.Projections(), s.snapshots.Projections(c.Logger, s.shop.SnapshotSources()...)...)
	return s, nil
}

// ignoreFlag gives a command the flag that says what of the log no projection needs.
func ignoreFlag(flags *pflag.FlagSet, types *[]string) {
	flags.StringSliceVar(types, "ignore-types", nil, "event types that this program does not know and no read model needs")
	fromEnv(flags, "ignore-types")
}

// runner returns a runner of all projections that has not been started.
func (s *service) runner(c projections.Config) (*projections.Runner, error) {
	c.Pool, c.Schema, c.Store, c.Codec, c.Logger, c.Hints = s.pool, s.schema, s.log, s.codec, s.logger, hint.In
	c.Categories, c.App = shop.Categories(), appName
	return projections.NewRunner(c, s.projections...)
}

func (s *service) admin() *projections.Admin {
	return projections.NewAdmin(s.pool, s.schema, s.log, s.projections...).WithHints(hint.In).ForApp(appName)
}

// withService gives a command the shop on the database of d. Every is that of shop.Config.SnapshotEvery.
func (d *database) withService(ctx context.Context, every map[string]int, logger zerolog.Logger, use func(*service) error) error {
	return d.withLog(ctx, func(pool *pgxpool.Pool, log *pgstore.Store) error {
		s, err := newService(pool, d.schema, log, shop.Config{SnapshotEvery: every, Logger: logger})
		if err == nil {
			err = s.admin().Check(ctx)
		}
		if err != nil {
			return err
		}
		return use(s)
	})
}
