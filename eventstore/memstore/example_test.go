package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

func Example() {
	ctx := context.Background()
	store := memstore.New(memstore.Config{})
	defer store.Close(ctx)

	placed := eventstore.StreamAppend{
		Stream:   "order-42",
		Expected: eventstore.NoStream,
		Events:   []eventstore.Event{{Type: "OrderPlaced", Data: []byte(`{"total_minor":1250}`)}},
	}
	done, err := store.Append(ctx, placed, eventstore.AppendOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("written at version", done.Version, "position", done.Position)

	_, err = store.Append(ctx, placed, eventstore.AppendOptions{})
	fmt.Println(errors.Is(err, eventstore.ErrConflict), err)

	for e, err := range store.ReadStream(ctx, "order-42", eventstore.ReadOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %s %s\n", e.Version, e.Type, e.Data)
	}
	// Output:
	// written at version 0 position 1
	// true stream "order-42" is at version 0, expected no stream
	// 0 OrderPlaced {"total_minor":1250}
}

// A subscription first yields what is there and then what is new, until its
// context ends or its caller has enough.
func ExampleStore_Subscribe() {
	ctx := context.Background()
	store := memstore.New(memstore.Config{})
	for _, name := range []string{"OrderPlaced", "OrderConfirmed", "OrderShipped"} {
		a := eventstore.StreamAppend{Stream: "order-42", Expected: eventstore.Any, Events: []eventstore.Event{{Type: name}}}
		if _, err := store.Append(ctx, a, eventstore.AppendOptions{}); err != nil {
			log.Fatal(err)
		}
	}

	opts := eventstore.ReadOptions{Filter: eventstore.Filter{Types: []string{"OrderPlaced", "OrderShipped"}}}
	for batch, err := range store.Subscribe(ctx, opts) {
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range batch.Events {
			fmt.Println(e.Position, e.Type)
		}
		if batch.Next > batch.Head.Position {
			fmt.Println("caught up, next is", batch.Next)
			break
		}
	}
	// Output:
	// 1 OrderPlaced
	// 3 OrderShipped
	// caught up, next is 4
}
