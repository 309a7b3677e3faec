package projections

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const retiredSQL = `
SELECT generation FROM {schema}.projection_generations
WHERE projection = $1 AND version = $2 AND retired_at IS NOT NULL AND built AND NOT serving
ORDER BY retired_at DESC LIMIT 1`

func noGeneration(version int) error {
	return fmt.Errorf("%w of version %d: a rebuild keeps as many as its option keep says; to go back to another version, "+
		"run the program that has it, which reads its own generation", ErrNoGeneration, version)
}

// rollback takes the generation that was replaced last up to date and puts it back in its place.
// The one that it replaces is kept, so another rollback changes them back.
func (x *execution) rollback(ctx context.Context) (any, error) {
	x.meter.Phase("preparing", 0, 0)
	if x.Operation.Generation == 0 {
		_, common, err := x.common(ctx)
		if err != nil {
			return nil, err
		}
		if err := x.inTx(ctx, func(tx pgx.Tx) error { return x.chooseRetired(ctx, tx, common) }); err != nil {
			return nil, err
		}
	}
	g, err := x.target(ctx)
	if err != nil {
		return nil, err
	}
	if g.serving {
		return x.outcome(ctx, g, nil)
	}
	// Rows of another log may be as far as those of this one, by their positions.
	if err := x.inLog(ctx, g.checkpoint); err != nil {
		return nil, err
	}
	if err := x.takeOver(ctx, g); err != nil {
		return nil, err
	}
	return x.outcome(ctx, g, nil)
}

func (x *execution) chooseRetired(ctx context.Context, tx pgx.Tx, common int64) error {
	p := x.worker.projection
	if _, err := x.catalog.lock(ctx, tx, p.Name()); err != nil {
		return err
	}
	present, err := x.present(ctx, tx)
	if err != nil {
		return err
	}
	err = tx.QueryRow(ctx, x.catalog.sql(retiredSQL+" FOR UPDATE"), p.Name(), p.Version()).Scan(&x.Operation.Generation)
	if isNoRows(err) {
		return &permanentError{err: noGeneration(p.Version())} // it was there when it was asked for
	}
	if err != nil {
		return err
	}
	if err := x.copySkips(ctx, tx, present.number, x.Operation.Generation, common); err != nil {
		return err
	}
	// It gets another chance with an event that it could not apply.
	if _, err := tx.Exec(ctx, x.catalog.sql(clearFailureSQL+` AND generation = $2`), p.Name(), x.Operation.Generation); err != nil {
		return err
	}
	return x.SetGeneration(ctx, tx, x.Operation.Generation)
}
