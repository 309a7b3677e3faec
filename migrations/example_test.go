package migrations_test

import (
	"context"
	"fmt"
	"log"

	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/migrations"
)

// A schema is a log. Up makes its tables, or brings them to this version; it
// may be called at every start, by any number of processes.
func Example() {
	db, done := pgtest.Example("Example")
	defer done()
	ctx := context.Background()

	before, err := migrations.Status(ctx, db.DSN, "tenant_7")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := migrations.Up(ctx, db.DSN, "tenant_7"); err != nil {
		log.Fatal(err)
	}
	after, err := migrations.Status(ctx, db.DSN, "tenant_7")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("pending before:", before.Pending(), "after:", after.Pending())
	// Output: pending before: true after: false
}
