package snapshots_test

import (
	"context"
	"fmt"
	"log"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/snapshots"
)

// Meter is the state, Read its event, Record its command.
type (
	Meter  struct{ Value, Readings int64 }
	Read   struct{ Value int64 }
	Record struct{ To int64 }
)

func (e Read) Evolve(m Meter) Meter { return Meter{e.Value, m.Readings + 1} }

func (c Record) Decide(m Meter) ([]commands.Event[Meter], error) {
	if c.To < m.Value {
		return nil, fmt.Errorf("a meter does not run backwards from %d", m.Value)
	}
	return []commands.Event[Meter]{Read{Value: c.To}}, nil
}

// A handler begins with snapshots, and a runner makes them.
func Example() {
	ctx := context.Background()
	db, done := pgtest.Example("snapshots")
	defer done()
	store, err := pgstore.Open(ctx, pgstore.Config{Pool: db.Pool})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(ctx)
	codec, err := eventstore.NewCodec(eventstore.TypeOf[Read]("Read", 1))
	if err != nil {
		log.Fatal(err)
	}

	kept := snapshots.NewStore(db.Pool, db.Schema)
	meters, err := commands.NewHandler[Meter, commands.Event[Meter]](store, codec, commands.Config{
		Category:  "meter",
		Snapshots: commands.SnapshotConfig{Store: kept, SchemaVersion: 1, Every: 100},
	})
	if err != nil {
		log.Fatal(err)
	}
	runner, err := projections.NewRunner(projections.Config{Pool: db.Pool, Store: store, Codec: codec},
		kept.Projections(zerolog.Nop(), meters.SnapshotSource())...)
	if err != nil {
		log.Fatal(err)
	}
	if err := runner.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer runner.Stop(ctx)

	var last commands.Result
	for value := range int64(100) {
		if last, err = meters.Handle(ctx, "7", Record{value}, commands.Options{}); err != nil {
			log.Fatal(err)
		}
	}
	for made := false; !made; {
		at, _ := runner.WaitFor(ctx, snapshots.NameOf("meter"), last.Token)
		made = at.Position >= last.Token.Position
	}
	all, err := kept.List(ctx, snapshots.Query{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(all[0].Stream, "at version", all[0].Version)
	// Output: meter-7 at version 99
}
