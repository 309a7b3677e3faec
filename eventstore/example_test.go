package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

// Priced is what the program works with. In version 1 of its schema the price
// was one text.
type Priced struct {
	Minor    int64  `json:"minor"`
	Currency string `json:"currency"`
}

type pricedV1 struct {
	Price string `json:"price"`
}

func upcastPricedV1(old pricedV1) (Priced, error) {
	var whole, minor int64
	var currency string
	if _, err := fmt.Sscanf(old.Price, "%d.%d %s", &whole, &minor, &currency); err != nil {
		return Priced{}, fmt.Errorf("price %q: %w", old.Price, err)
	}
	return Priced{Minor: 100*whole + minor, Currency: currency}, nil
}

// A codec reads events of every version that a log may hold.
func ExampleCodec() {
	codec, err := eventstore.NewCodec(
		eventstore.TypeOf[Priced]("ArticlePriced", 2, eventstore.Upcast(1, upcastPricedV1)),
	)
	if err != nil {
		log.Fatal(err)
	}

	old := eventstore.Event{Type: "ArticlePriced", SchemaVersion: 1, Data: []byte(`{"price":"12.50 GBP"}`)}
	v, err := codec.Decode(old)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", v)

	e, err := codec.Encode(Priced{Minor: 995, Currency: "EUR"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Type, e.SchemaVersion, string(e.Data))

	_, err = codec.Decode(eventstore.Event{Type: "ArticlePriced", SchemaVersion: 3})
	fmt.Println(errors.Is(err, eventstore.ErrUnknownVersion), err)
	// Output:
	// {Minor:1250 Currency:GBP}
	// ArticlePriced 2 {"minor":995,"currency":"EUR"}
	// true event type "ArticlePriced" has schema version 3, only 1 to 2 are known; add an upcaster or run a newer program
}

// Two writers decided from the same version: the second hears of the first,
// reads again and decides again.
func ExampleConflictError() {
	ctx := context.Background()
	var store eventstore.Store = memstore.New(memstore.Config{})

	write := func(eventType string, version int64) error {
		_, err := store.Append(ctx, eventstore.StreamAppend{
			Stream:   "order-42",
			Expected: eventstore.Exact(version),
			Events:   []eventstore.Event{{Type: eventType}},
		}, eventstore.AppendOptions{})
		return err
	}
	fmt.Println(write("OrderPlaced", -1))
	fmt.Println(write("OrderConfirmed", 0))

	err := write("OrderCancelled", 0)
	var conflict *eventstore.ConflictError
	if errors.As(err, &conflict) {
		fmt.Println("decide again from version", conflict.Actual)
	}
	// Output:
	// <nil>
	// <nil>
	// decide again from version 1
}
