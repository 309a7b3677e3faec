package projections

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
)

// ErrAnotherApp is matched by *AppError.
var ErrAnotherApp = eventstore.NewError(eventstore.ClassConflict, "it belongs to another app")

// AppError is returned to a program of an App that is not on the log, or that wants a projection of
// another App. Nothing was done. It matches ErrAnotherApp.
type AppError struct {
	// App is the program's, Owners are those that the log, or the projection, belongs to.
	App    string
	Owners []string
	Schema string
	// Projection is the one that belongs to Owners; empty: it is the log. Two Apps with snapshots of one
	// category meet here on purpose, in the projection that makes them: two programs that decide on the
	// same streams, each by its own rules and from its own state, would break each other's.
	Projection string
}

func (e *AppError) Error() string {
	what := fmt.Sprintf("the log in schema %q", e.Schema)
	if e.Projection != "" {
		what = fmt.Sprintf("projection %q", e.Projection)
	}
	owners := make([]string, len(e.Owners))
	for i, owner := range e.Owners {
		owners[i] = fmt.Sprintf("app %q", owner)
	}
	return fmt.Sprintf("%s belongs to %s, this program is app %q", what, strings.Join(owners, " and "), e.App)
}

// Unwrap returns ErrAnotherApp.
func (e *AppError) Unwrap() error { return ErrAnotherApp }

// Reason returns the code of what to do about it, the App or the projection, and the schema.
func (e *AppError) Reason() (code, subject, schema string) {
	if e.Projection != "" {
		return string(ReasonOtherProjection), e.Projection, e.Schema
	}
	return string(ReasonOtherLog), e.App, e.Schema
}

// owned is the condition that a projection is of the App in $1, any for none, which has the
// projections in $2 by name.
const owned = `($1 = '' OR p.app = $1 OR p.app = '' AND p.name = ANY($2))`

const (
	ownersSQL = `
SELECT ARRAY(SELECT name FROM {schema}.apps ORDER BY joined_at, name),
       EXISTS (SELECT FROM {schema}.projections WHERE name = ANY($2) AND app = ''),
       coalesce(p.name, ''), coalesce(p.app, '')
FROM (SELECT 1) AS one
LEFT JOIN {schema}.projections p ON p.name = ANY($2) AND p.app NOT IN ('', $1)
ORDER BY p.name LIMIT 1`

	foundSQL = `INSERT INTO {schema}.apps (name, founder) VALUES ($1, true) ON CONFLICT DO NOTHING`
	joinSQL  = `INSERT INTO {schema}.apps (name) VALUES ($1) ON CONFLICT DO NOTHING`
	leaveSQL = `DELETE FROM {schema}.apps WHERE name = $1 AND NOT EXISTS (SELECT FROM {schema}.projections WHERE app = $1)`
	claimSQL = `UPDATE {schema}.projections SET app = $1 WHERE name = ANY($2) AND app = ''`
)

// owners are the Apps on a log, and what they have of some projections.
type owners struct {
	apps []string
	// unclaimed says that one of them is nobody's yet.
	unclaimed bool
	// projection is the first of those that are another App's, which is owner.
	projection, owner string
}

func (c *catalog) owners(ctx context.Context, db querier, projections []string) (o owners, err error) {
	err = db.QueryRow(ctx, c.sql(ownersSQL), c.app, projections).Scan(&o.apps, &o.unclaimed, &o.projection, &o.owner)
	return o, err
}

// check returns an *AppError for a log, or a projection, of other Apps. On a log that is nobody's
// yet every App may look around.
func (c *catalog) check(ctx context.Context, db querier, projections ...string) error {
	if c.app == "" {
		return nil
	}
	o, err := c.owners(ctx, db, projections)
	switch {
	case err != nil:
		return fmt.Errorf("look whose the log is: %w", err)
	case len(o.apps) > 0 && !slices.Contains(o.apps, c.app):
		return &AppError{App: c.app, Owners: o.apps, Schema: c.schema}
	case o.projection != "":
		return &AppError{App: c.app, Owners: []string{o.owner}, Schema: c.schema, Projection: o.projection}
	}
	return nil
}

// enter is check for a program that is going to write: the first App joins a log that is nobody's,
// others do so only on purpose. Projections that are nobody's become its own.
func (c *catalog) enter(ctx context.Context, onPurpose bool, projections []string) error {
	if c.app == "" {
		return nil
	}
	return c.inTx(ctx, func(tx pgx.Tx) error {
		o, err := c.owners(ctx, tx, projections)
		if err != nil {
			return fmt.Errorf("look whose the log is: %w", err)
		}
		if len(o.apps) == 0 {
			_, err = tx.Exec(ctx, c.sql(foundSQL), c.app)
		}
		if err == nil && onPurpose {
			_, err = tx.Exec(ctx, c.sql(joinSQL), c.app)
		}
		if err == nil && o.unclaimed {
			_, err = tx.Exec(ctx, c.sql(claimSQL), c.app, projections)
		}
		if err != nil {
			return fmt.Errorf("join the log as app %q: %w", c.app, err)
		}
		return c.check(ctx, tx, projections...)
	})
}

// ForApp makes a the access of an App, and returns it: it shows and steers what is the App's own. A
// log that other Apps have, and projections of theirs, are refused with *AppError.
func (a *Admin) ForApp(name string) *Admin {
	a.catalog.app = name
	return a
}

// Check returns an *AppError if the log, or a projection that this program knows by name, belongs
// to other Apps. It changes nothing.
func (a *Admin) Check(ctx context.Context) error {
	return a.catalog.check(ctx, a.catalog.pool, a.names()...)
}

// Enter is Check for a program that is going to write: the first App that enters a log joins it,
// and takes over what it knows by name of those projections that have no App.
func (a *Admin) Enter(ctx context.Context) error { return a.catalog.enter(ctx, false, a.names()) }

// Join is Enter also on a log that other Apps have: both are on it then, each with its own
// projections.
func (a *Admin) Join(ctx context.Context) error { return a.catalog.enter(ctx, true, a.names()) }

// Leave takes the name of the App off the log, once its projections are dropped: ErrInUse while there are some. Leaving a log that
// it is not on is no error.
func (a *Admin) Leave(ctx context.Context) error {
	tag, err := a.catalog.pool.Exec(ctx, a.catalog.sql(leaveSQL), a.catalog.app)
	if err == nil && tag.RowsAffected() == 0 {
		var left []Status
		if left, err = a.List(ctx); err == nil && len(left) > 0 {
			err = fmt.Errorf("%w: there is projection %q", ErrInUse, left[0].Projection)
		}
	}
	if err != nil {
		return fmt.Errorf("take app %q off the log: %w", a.catalog.app, err)
	}
	return nil
}

// names are those of the projections of this program.
func (a *Admin) names() []string {
	names := make([]string, len(a.known))
	for i, p := range a.known {
		names[i] = p.Name()
	}
	return names
}
