package projections

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgsql"
)

// Serving is the generation that programs with a version of a projection read, as a statement found
// it. Package queries reads through it.
type Serving struct {
	// Generation counts from 1. Table is its table, qualified and quoted.
	Generation int
	Table      string
	// Checkpoint is how far its rows are, at least, for statements that follow.
	Checkpoint eventstore.Token
	// Target is the position before which it is still being built.
	Target int64
	Paused bool
	// Failure is why it has stopped; empty: it has not.
	Failure string
	// Unreadable is what the program that ran it stands aside before; empty: nothing.
	Unreadable string
	// App is the App that has the projection; empty: none.
	App string
}

// A version of 0 stands for the generation that the view shows.
const queueServingSQL = `
SELECT g.generation, g.table_name, g.log_id, g.incarnation, g.position, g.target, p.desired = 'paused',
       coalesce(g.failure, ''), coalesce(g.unreadable, ''), p.app
FROM {schema}.projections p
JOIN {schema}.projection_generations g ON g.projection = p.name
WHERE p.name = $1 AND CASE WHEN $2 = 0 THEN g.generation = p.live_generation ELSE g.version = $2 AND g.serving END`

// QueueServing adds to a batch the statement that reads into s which generation of a projection to
// read. A version of 0 means the one that the view shows. If there is none, the batch's results are
// closed with an error that matches ErrNotFound.
func QueueServing(b *pgx.Batch, schema, projection string, version int, s *Serving) {
	b.Queue(pgsql.In(schema, queueServingSQL), projection, version).QueryRow(func(row pgx.Row) error {
		table := tableName{schema: schema}
		err := row.Scan(&s.Generation, &table.name, &s.Checkpoint.Log, &s.Checkpoint.Incarnation, &s.Checkpoint.Position,
			&s.Target, &s.Paused, &s.Failure, &s.Unreadable, &s.App)
		s.Table = table.String()
		if errors.Is(err, pgx.ErrNoRows) {
			err = fmt.Errorf("projection %q version %d: %w", projection, version, ErrNotFound)
		}
		return err
	})
}
