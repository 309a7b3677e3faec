package projections

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
)

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
func (p batchProjector) commit(ctx context.Context, pool *pgxpool.Pool, table tableName, events []Decoded, move statement) error {
	var batch pgx.Batch
	batch.Queue(foldSettings)
	if err := p.queue(ctx, table.String(), events, &batch); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return write(ctx, pool, &batch, move)
}

func (p batchProjector) probe(ctx context.Context, pool *pgxpool.Pool, table tableName, events []Decoded) error {
	var batch pgx.Batch
	if err := p.queue(ctx, table.String(), events, &batch); err != nil {
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
