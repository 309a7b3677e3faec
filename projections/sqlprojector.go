package projections

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
)

// SQLConfig describes a projection that is written in SQL, for what no fold can say: rows that
// depend on other rows, on sets, on what is in other tables.
type SQLConfig struct {
	// Name and Version are those of Table.
	Name    string
	Version int
	// Types are the names of the event types that it handles, as the codec has them. Events under
	// their former names come too: tell events apart by their values.
	Types []string
	// Create makes the table, whose name it gets qualified and quoted.
	Create func(ctx context.Context, tx pgx.Tx, table string) error
	// Apply does what events do to the table: one or more whole appends, in the order of the log,
	// only of the types handled. It must not end tx, nor keep it. The checkpoint moves in the same
	// transaction.
	//
	// If it returns an error, nothing of the batch stays. A batch of several appends is then tried
	// in smaller ones, to find the event that is the reason; so Apply must have no effects but
	// those of tx.
	Apply func(ctx context.Context, tx pgx.Tx, table string, events []Decoded) error
}

// SQLProjector is a projection that is written in SQL. Make one with NewSQL.
type SQLProjector struct{ config SQLConfig }

// NewSQL returns the projection that c describes. Mistakes are reported by NewRunner.
func NewSQL(c SQLConfig) *SQLProjector { return &SQLProjector{config: c} }

// Name returns the name of the projection.
func (p *SQLProjector) Name() string { return p.config.Name }

// Version returns the version of its rows.
func (p *SQLProjector) Version() int { return p.config.Version }

// prepare implements Projection.
func (p *SQLProjector) prepare(codec *eventstore.Codec) (projector, []error) {
	runs, errs := p.config.prepare(codec)
	if p.config.Apply == nil {
		errs = append(errs, errors.New("it needs the function Apply"))
	}
	return runs, errs
}

// prepare returns what to run, and all mistakes but a missing Apply.
func (c SQLConfig) prepare(codec *eventstore.Codec) (sqlProjector, []error) {
	errs := []error{checkName(c.Name, c.Version)}
	if c.Create == nil {
		errs = append(errs, errors.New("it needs the function Create"))
	}
	if len(c.Types) == 0 {
		errs = append(errs, errors.New("it handles no events: name them in Types"))
	}
	types := make(handledTypes)
	for _, name := range c.Types {
		if !types.add(codec, name) {
			errs = append(errs, fmt.Errorf("event type %q is not in the codec: register it with eventstore.TypeOf", name))
		}
	}
	return sqlProjector{config: c, handledTypes: types}, errs
}

// sqlProjector runs a SQLProjector.
type sqlProjector struct {
	config SQLConfig
	handledTypes
}

// definition has only the events: what the functions do, only the version says.
func (p sqlProjector) definition(events []string) string {
	return fmt.Sprintf("sql\nevents %q\n", events)
}

func (p sqlProjector) create(ctx context.Context, tx pgx.Tx, table tableName) error {
	if err := p.config.Create(ctx, tx, table.String()); err != nil {
		return fmt.Errorf("create table %s: %w", table, err)
	}
	var there bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, table.String()).Scan(&there); err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("the function Create did not make the table %s, whose name it is given", table)
	}
	return nil
}

// commit moves the checkpoint last: until then the lease can be taken over.
func (p sqlProjector) commit(ctx context.Context, pool *pgxpool.Pool, g generation, events []Decoded, move statement) error {
	tx, err := begin(ctx, pool)
	if err != nil {
		return err
	}
	defer rollback(ctx, tx)
	if err := p.applyIn(ctx, tx, g.table, events); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, move.sql, move.args...); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func (p sqlProjector) probe(ctx context.Context, pool *pgxpool.Pool, g generation, events []Decoded) error {
	tx, err := begin(ctx, pool)
	if err != nil {
		return err
	}
	defer rollback(ctx, tx)
	return p.applyIn(ctx, tx, g.table, events)
}

// applyIn calls Apply and makes sure that what it did can be committed, so that what fails after it
// is not its fault.
func (p sqlProjector) applyIn(ctx context.Context, tx pgx.Tx, table tableName, events []Decoded) error {
	if len(events) == 0 {
		return nil
	}
	err := p.apply(ctx, tx, table, events)
	switch {
	case err == nil:
	case pgerr.Code(err) != "" || ctx.Err() != nil || tx.Conn().IsClosed():
		return err
	default:
		return &dataError{err}
	}
	_, err = tx.Exec(ctx, `SET CONSTRAINTS ALL IMMEDIATE`)
	switch {
	case errors.Is(err, pgx.ErrTxClosed):
		return &dataError{errors.New("the function Apply ended the transaction, which is not its own")}
	case pgerr.Is(err, pgerr.TransactionAborted):
		return &dataError{errors.New("the function Apply returned nil although a statement of it was refused; return the error, or use a savepoint")}
	}
	return err
}

func (p sqlProjector) apply(ctx context.Context, tx pgx.Tx, table tableName, events []Decoded) (err error) {
	defer recoverTo(&err)
	return p.config.Apply(ctx, tx, table.String(), events)
}

// BatchConfig describes a projection whose rows take other reads to work out, such as of whole
// streams. That is done before the transaction that writes them, so none is held meanwhile.
type BatchConfig struct {
	// Name, Version, Types and Create are those of SQLConfig. Types may change without a new
	// Version: rows are not made of the events alone.
	Name    string
	Version int
	Types   []string
	Create  func(ctx context.Context, tx pgx.Tx, table string) error
	// Prepare adds to out the statements that do to the table what events ask for: one or more
	// whole appends, in the order of the log. They run in the transaction that moves the
	// checkpoint.
	//
	// If it returns an error it is called again later, with the same events, until it does not: an
	// outage passes. What cannot be done at all it has to leave out. It may have done its work for
	// events that another process then applies; so it must have no effects but out.
	Prepare func(ctx context.Context, table string, events []Decoded, out *pgx.Batch) error
}

// BatchProjector is a projection whose rows are worked out before they are written. Make one with
// NewBatch.
type BatchProjector struct{ config BatchConfig }

// NewBatch returns the projection that c describes. Mistakes are reported by NewRunner.
func NewBatch(c BatchConfig) *BatchProjector { return &BatchProjector{config: c} }

// Name returns the name of the projection.
func (p *BatchProjector) Name() string { return p.config.Name }

// Version returns the version of its rows.
func (p *BatchProjector) Version() int { return p.config.Version }

// prepare implements Projection.
func (p *BatchProjector) prepare(codec *eventstore.Codec) (projector, []error) {
	c := p.config
	runs, errs := SQLConfig{Name: c.Name, Version: c.Version, Types: c.Types, Create: c.Create}.prepare(codec)
	if c.Prepare == nil {
		errs = append(errs, errors.New("it needs the function Prepare"))
	}
	return batchProjector{runs, c.Prepare}, errs
}

// batchProjector runs a BatchProjector. It is a sqlProjector without Apply.
type batchProjector struct {
	sqlProjector
	prepared func(ctx context.Context, table string, events []Decoded, out *pgx.Batch) error
}

func (p batchProjector) definition([]string) string { return "batch\n" }

// commit has no transaction open while the statements are prepared.
func (p batchProjector) commit(ctx context.Context, pool *pgxpool.Pool, g generation, events []Decoded, move statement) error {
	var batch pgx.Batch
	batch.Queue(foldSettings)
	if err := p.queue(ctx, g.table.String(), events, &batch); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return write(ctx, pool, &batch, move)
}

func (p batchProjector) probe(ctx context.Context, pool *pgxpool.Pool, g generation, events []Decoded) error {
	var batch pgx.Batch
	if err := p.queue(ctx, g.table.String(), events, &batch); err != nil {
		return err
	}
	return tryOut(ctx, pool, &batch)
}

func (p batchProjector) queue(ctx context.Context, table string, events []Decoded, batch *pgx.Batch) (err error) {
	if len(events) == 0 {
		return nil
	}
	defer func() {
		// It would panic again, so this is no outage.
		if r := recover(); r != nil {
			err = &dataError{fmt.Errorf("panic: %v\n%s", r, debug.Stack())}
		}
	}()
	return p.prepared(ctx, table, events, batch)
}
