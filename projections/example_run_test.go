package projections_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// Run does an operation in this process; the runner need not have been started. Here somebody has
// changed a row by hand, which a verification finds and a rebuild puts right.
func ExampleRunner_Run() {
	db, done := pgtest.Example("ExampleRunner_Run")
	defer done()
	ctx := context.Background()
	store, codec, _ := exampleLog(ctx)
	runner, err := projections.NewRunner(projections.Config{Pool: db.Pool, Store: store, Codec: codec}, balances())
	if err != nil {
		log.Fatal(err)
	}
	run := func(kind operations.Kind) operations.Operation {
		op, err := runner.Run(ctx, operations.Request{Kind: kind, Subject: "balances", Actor: "ada"}, nil)
		if err != nil {
			log.Fatal(err)
		}
		return op
	}
	run(projections.Rebuild)
	if _, err := db.Pool.Exec(ctx, `UPDATE recount.balances SET balance = 1000 WHERE account = 'bob'`); err != nil {
		log.Fatal(err)
	}

	var found projections.Verification
	if err := json.Unmarshal(run(projections.Verify).Result, &found); err != nil {
		log.Fatal(err)
	}
	for _, d := range found.Differences {
		fmt.Println(d.Key["account"], "has", d.Got["balance"], "and should have", d.Want["balance"])
	}

	op := run(projections.Rebuild)
	fmt.Println(op.Kind, "of", op.Subject, "is", op.State, "with", op.Events, "events in generation", op.Generation)
	// Output:
	// bob has 1000 and should have -10
	// rebuild of balances is done with 4 events in generation 2
}
