package projections

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
)

var errCut = errors.New("connection lost")

// forgetful commits and says that it did not, every other time.
type forgetful struct {
	projector
	commits atomic.Int64
}

func (f *forgetful) commit(ctx context.Context, pool *pgxpool.Pool, g generation, events []Decoded, move statement) error {
	err := f.projector.commit(ctx, pool, g, events, move)
	if err == nil && f.commits.Add(1)%2 == 1 {
		return errCut
	}
	return err
}

// torn is a planted fault: rows and checkpoint in two transactions, with a crash between them every
// other time.
type torn struct {
	projector
	commits atomic.Int64
}

func (f *torn) commit(ctx context.Context, pool *pgxpool.Pool, g generation, events []Decoded, move statement) error {
	if err := f.projector.commit(ctx, pool, g, events, statement{sql: "SELECT 1"}); err != nil {
		return err
	}
	if f.commits.Add(1)%2 == 1 {
		return errCut
	}
	_, err := pool.Exec(ctx, move.sql, move.args...)
	return err
}
