package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/internal/rowmap"
)

// Repaired is what became of a row that was made anew.
type Repaired struct {
	Projection string         `json:"projection"`
	Generation int            `json:"generation"`
	Key        map[string]any `json:"key"`
	// Position is the checkpoint at which the row was made.
	Position int64 `json:"position"`
	// Changed says that it was not so before. Before and After have the columns of the row; nil:
	// there was, or is, none.
	Changed bool           `json:"changed"`
	Before  map[string]any `json:"before"`
	After   map[string]any `json:"after"`
}

// repairing is a repair underway.
type repairing struct {
	claim      *claim
	generation generation
	pass       pass
	text       string
}

// repair makes one row of the generation that serves the version anew.
func (x *execution) repair(ctx context.Context) (any, error) {
	fold, g, err := x.presentFold(ctx)
	if err != nil {
		return nil, err
	}
	var position int64
	if err := x.catalog.pool.QueryRow(ctx, x.catalog.sql(positionSQL), g.projection, g.number).Scan(&position); err != nil {
		return nil, err
	}
	skips, err := x.catalog.skipsUpTo(ctx, g, position)
	if err != nil {
		return nil, err
	}
	x.meter.Phase("reading the log", 0, position)
	done, err := fold.repair(ctx, &repairing{
		claim: x.claim, generation: g, pass: x.pass(ctx, position, skips), text: x.Operation.Options.Key,
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

const positionSQL = `SELECT position FROM {schema}.projection_generations WHERE projection = $1 AND generation = $2`

// repair folds the row up to where the checkpoint was, then takes the lease for the moment that the
// rest takes: the projection waits only that long.
func (p *foldProjector[K, Row]) repair(ctx context.Context, r *repairing) (Repaired, error) {
	done := Repaired{Projection: r.generation.projection, Generation: r.generation.number}
	key, err := parseKey[K](p.layout, r.text)
	if err != nil {
		return done, &permanentError{err: err} // a process with another type of key has let it pass
	}
	done.Key = shownAs(p.layout.Key, reflect.ValueOf(key))
	m := newMemory(p)
	m.want(key)
	if err := p.foldKeys(ctx, r.pass, m, nil); err != nil {
		return done, err
	}
	if err := p.comeNear(ctx, r, m); err != nil {
		return done, err
	}
	// What has not been applied by now is not, until the lease is given back.
	c := r.claim.catalog
	l, err := c.generationTable().Seize(ctx, c.pool, r.generation.key(), r.claim.Owner, r.claim.TTL,
		lease.Clause{Returning: "position"}, &done.Position)
	if err != nil {
		return done, err
	}
	if err := p.goOn(ctx, r, m, done.Position); err != nil {
		return done, err
	}
	return done, r.claim.inTx(ctx, func(tx pgx.Tx) error {
		old, err := p.replaceRow(ctx, tx, r, m, key, &done)
		if err != nil {
			return err
		}
		// An error says that it was taken back: again.
		err = l.Update(ctx, tx, lease.Clause{Set: lease.Clear, Where: "position = $4", Args: []any{done.Position}})
		if err == nil && done.Changed && p.keeps.images != "" {
			err = p.recordRepair(ctx, tx, r.generation, done.Position, key, old, m.entries[key])
		}
		return err
	})
}

// repairGap is how many events at most there are to read while the projection waits.
const repairGap = 1000

// comeNear folds what has been applied to the generation since m was folded, until little of that
// is left: a fold of all of a long log takes a while.
func (p *foldProjector[K, Row]) comeNear(ctx context.Context, r *repairing, m *memory[K, Row]) error {
	c := r.claim.catalog
	for {
		var position int64
		err := c.pool.QueryRow(ctx, c.sql(positionSQL), r.generation.projection, r.generation.number).Scan(&position)
		if err != nil || position-r.pass.target <= repairGap {
			return err
		}
		if err := p.goOn(ctx, r, m, position); err != nil {
			return err
		}
	}
}

// goOn folds the events behind those that m was made of, up to a position.
func (p *foldProjector[K, Row]) goOn(ctx context.Context, r *repairing, m *memory[K, Row], position int64) (err error) {
	if position <= r.pass.target {
		return nil
	}
	r.pass.from, r.pass.target = r.pass.target+1, position
	if r.pass.skips, err = r.claim.catalog.skipsUpTo(ctx, r.generation, position); err != nil {
		return err
	}
	return p.foldKeys(ctx, r.pass, m, nil)
}

// replaceRow writes the row of a key as m has it, and returns the one that was there.
func (p *foldProjector[K, Row]) replaceRow(ctx context.Context, tx pgx.Tx, r *repairing, m *memory[K, Row], key K, done *Repaired) (was *stored[K], err error) {
	stored, _, err := p.storedAt(ctx, tx, r.claim.catalog, r.generation, m)
	if err != nil {
		return nil, err
	}
	old, now := stored[key], m.entries[key]
	now.stored = old != nil
	done.Changed = (old == nil) != (now.row == nil)
	if old != nil {
		done.Before = storedAs(p.layout.Row, old.values)
	}
	if now.row != nil {
		done.After = shownAs(p.layout.Row, reflect.ValueOf(now.row).Elem())
	}
	if old != nil && now.row != nil {
		same, err := p.sameRow(now.row, old)
		if err != nil {
			return nil, err
		}
		done.Changed = !same
	}
	now.position = max(now.position, 1) // a row that no event touched is to go too
	var batch pgx.Batch
	if err := p.queue(r.generation.table, m, &batch); err != nil {
		return nil, err
	}
	return old, tx.SendBatch(ctx, &batch).Close()
}

// parseKey reads a key as people write it, or as a verification shows it: an object of the columns.
func parseKey[K comparable](layout Layout, text string) (key K, err error) {
	columns := layout.Key
	parts, shown := shownParts(columns, text)
	switch {
	case shown:
	case len(columns) > 1:
		if err := json.Unmarshal([]byte(text), &parts); err != nil || len(parts) != len(columns) {
			return key, fmt.Errorf("%q is no key: it has the columns %s", text, list(columns.Names()))
		}
	default:
		parts = []json.RawMessage{json.RawMessage(text)}
		if quoted, err := json.Marshal(text); err == nil && columns[0].Type != "bigint" && columns[0].Type != "boolean" {
			parts[0] = quoted
		}
	}
	v := reflect.ValueOf(&key).Elem()
	for i, target := range columns.Targets(nil, v) {
		if err := json.Unmarshal(parts[i], target); err != nil {
			return key, fmt.Errorf("%q is no key: column %s: %w", text, pgsql.Name(columns[i].Name), err)
		}
	}
	return key, columns.Normalize(v)
}

// shownParts returns the values of an object that has just these columns, if text is one.
func shownParts(columns rowmap.Columns, text string) ([]json.RawMessage, bool) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &doc); err != nil || len(doc) != len(columns) {
		return nil, false
	}
	parts := make([]json.RawMessage, 0, len(columns))
	for _, c := range columns {
		part, ok := doc[c.Name]
		if !ok {
			return nil, false
		}
		parts = append(parts, part)
	}
	return parts, true
}
