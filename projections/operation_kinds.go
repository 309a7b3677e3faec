package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// The kinds of operations on projections.
const (
	// Rebuild builds the rows anew beside the present ones, then takes their place.
	Rebuild operations.Kind = "rebuild"
	// Rollback takes the generation before the present one up to date and puts it back.
	Rollback operations.Kind = "rollback"
	// Verify compares the rows with a fresh fold of the log. Its result is a Verification.
	Verify operations.Kind = "verify"
	// Repair makes one row anew from the log. Its result is a Repaired.
	Repair operations.Kind = "repair"
)

// ErrNoGeneration is returned for a rollback that has no generation to go back to, with
// operations.ErrInvalid.
var ErrNoGeneration = eventstore.NewError(eventstore.ClassNotFound, "there is no generation to go back to")

// checkRequest returns an error that matches operations.ErrInvalid if a request cannot be done with
// p, whatever the database has.
func checkRequest(q operations.Request, p Projection) error {
	if q.Kind != Verify && q.Kind != Repair {
		return nil
	}
	fold, ok := p.(interface{ checkKey(text string) error })
	if !ok {
		return fmt.Errorf("%w: only folds can be verified and repaired; rebuild a SQL projector", operations.ErrInvalid)
	}
	if q.Kind == Verify {
		return nil
	}
	if err := fold.checkKey(q.Options.Key); err != nil {
		return operations.InvalidOption("key", "cannot be read: %v; give a key of one column as text, one of several as a JSON "+
			"array of their values or as an object with the names of its columns", err)
	}
	return nil
}

// claim is the right to work on an operation on a projection.
type claim struct {
	*operations.Claim
	catalog *catalog
}

// inTx runs f in a transaction that takes effect only while the claim holds.
func (cl *claim) inTx(ctx context.Context, f func(pgx.Tx) error) error {
	return cl.catalog.inTx(ctx, func(tx pgx.Tx) error { return cl.InTx(ctx, tx, f) })
}

const liveVersionSQL = `
SELECT g.version FROM {schema}.projections p
JOIN {schema}.projection_generations g ON g.projection = p.name AND g.generation = p.live_generation
WHERE p.name = $1`

// admit returns an error if a request cannot be done with what the database has. The projection of
// a rebuild is made known to it.
func (c *catalog) admit(ctx context.Context, q operations.Request) error {
	if q.Kind == Rebuild {
		_, err := c.pool.Exec(ctx, c.sql(registerSQL), q.Subject, c.app)
		return err
	}
	var live int
	if err := c.pool.QueryRow(ctx, c.sql(liveVersionSQL), q.Subject).Scan(&live); err != nil {
		return notFound(err)
	}
	switch q.Kind {
	case Rollback:
		err := c.pool.QueryRow(ctx, c.sql(retiredSQL), q.Subject, q.Version).Scan(new(int))
		if isNoRows(err) {
			err = fmt.Errorf("%w: %w", operations.ErrInvalid, noGeneration(q.Version))
		}
		return err
	case Repair:
		if q.Options.Key == "" {
			return operations.InvalidOption("key", "must be that of the row to repair")
		}
	case Verify:
	default:
		return fmt.Errorf("%w: there are no operations of the kind %q", operations.ErrInvalid, q.Kind)
	}
	return nil
}

// permanentError ends an operation: it would come again.
type permanentError struct {
	err    error
	reason operations.Reason
}

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// isPermanent reports whether an operation that ended with err would do so again.
func isPermanent(err error) bool {
	var last *permanentError
	var at *eventError
	if isUnknownSchema(err) {
		return false
	}
	return errors.As(err, &last) || errors.As(err, &at) || errors.Is(err, errTooLarge) || isLogError(err) ||
		isDataError(err)
}
