package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/snapshots"
)

// allProjections returns the read models of the shop, and what makes its snapshots.
func allProjections(s *shop.Shop, kept *snapshots.Store, log zerolog.Logger) []projections.Projection {
	all := shop.Projections()
	if sources := s.SnapshotSources(); len(sources) > 0 {
		all = append(all, kept.Projection(log, sources...))
	}
	return all
}

// withRunner gives a runner that has not been started.
func (d *database) withRunner(ctx context.Context, every map[string]int, use func(*projections.Runner) error) error {
	return d.withLog(ctx, func(pool *pgxpool.Pool, log *pgstore.Store) error {
		codec, err := shop.NewCodec()
		if err != nil {
			return err
		}
		kept := snapshots.NewStore(pool, d.schema)
		s, err := shop.New(log, codec, shop.Config{Snapshots: kept, SnapshotEvery: every})
		if err != nil {
			return err
		}
		runner, err := projections.NewRunner(projections.Config{Pool: pool, Schema: d.schema, Store: log, Codec: codec},
			allProjections(s, kept, zerolog.Nop())...)
		if err != nil {
			return err
		}
		return use(runner)
	})
}

// withShop gives access to the snapshots, and to the shop whose states they are.
func (a *app) withShop(ctx context.Context, d *database, every map[string]int, use func(*shop.Shop, *snapshots.Store, *pgstore.Store) error) error {
	return d.withLog(ctx, func(pool *pgxpool.Pool, log *pgstore.Store) error {
		codec, err := shop.NewCodec()
		if err != nil {
			return err
		}
		kept := snapshots.NewStore(pool, d.schema)
		s, err := shop.New(log, codec, shop.Config{Snapshots: kept, SnapshotEvery: every, Logger: a.warnings()})
		if err != nil {
			return err
		}
		return use(s, kept, log)
	})
}
