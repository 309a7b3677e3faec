package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// trialSettings are for what follows in a transaction: nothing is written, and a statement that reads much of other tables, or waits for
// them, does not keep a process from starting.
const trialSettings = `SELECT set_config('transaction_read_only', 'on', true), set_config('statement_timeout', '2s', true)`

// mayCome are the codes of what a statement names that others may make later than this process starts: tables and their columns, and what an
// extension brings.
var mayCome = []string{pgerr.NoTable, pgerr.NoColumn, pgerr.NoFunction, pgerr.NoType, pgerr.NoSchema, pgerr.NoRight}

// tryReads returns the mistakes in statements of the modules here that only the database knows: each is run on empty tables, in a
// transaction of which nothing stays. A table that cannot be made, and what may yet be there when a request comes, is no reason to refuse to start.
func (s *Service) tryReads(ctx context.Context) error {
	var reads []Read
	var from []string
	for _, m := range s.here.Modules {
		for _, r := range m.Reads {
			if r.try != nil {
				reads, from = append(reads, r), append(from, r.from...)
			}
		}
	}
	if len(reads) == 0 {
		return nil
	}
	tx, err := s.Pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	tables := make(map[string]string)
	for _, p := range s.App.Projections() {
		if !slices.Contains(from, p.Name()) {
			continue
		}
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) (err error) { // a savepoint
			tables[p.Name()], err = projections.CreateTemp(ctx, tx, s.Commands.Codec(), p)
			return err
		})
		if err != nil {
			s.Logger.Debug().Err(err).Str("projection", p.Name()).Msg("statements that read it are not tried")
			delete(tables, p.Name())
		}
	}
	if _, err := tx.Exec(ctx, trialSettings); err != nil {
		return err
	}
	var mistakes []error
	for _, r := range reads {
		if slices.ContainsFunc(r.from, func(name string) bool { return tables[name] == "" }) {
			continue
		}
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return r.try(ctx, tx, tables) })
		switch {
		case err == nil:
		case pgerr.Is(err, mayCome...):
			s.Logger.Warn().Err(err).Str("read", r.path).Msg("the database refuses the statement of a read: something in it is wrong, or not there yet")
		case errors.Is(err, queries.ErrInvalidQuery), pgerr.In(err, pgerr.ClassStatement):
			mistakes = append(mistakes, fmt.Errorf("app: read %s: %w", r.path, err))
		}
	}
	return errors.Join(mistakes...)
}
