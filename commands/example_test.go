package commands_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

// Seats is the state of a show: who has a seat.
type Seats struct{ Taken []string }

// Event is an event of a show.
type Event interface{ Evolve(Seats) Seats }

// Booked says that somebody got a seat.
type Booked struct{ Name string }

// Evolve takes the seat. It appends to a clipped slice, because the state that
// it is given is not its own.
func (e Booked) Evolve(s Seats) Seats {
	s.Taken = append(slices.Clip(s.Taken), e.Name)
	return s
}

// Book asks for a seat. There are two.
type Book struct{ For string }

var errSoldOut = errors.New("the show is sold out")

// Decide books a seat, once for each name.
func (c Book) Decide(s Seats) ([]Event, error) {
	switch {
	case slices.Contains(s.Taken, c.For):
		return nil, nil
	case len(s.Taken) == 2:
		return nil, errSoldOut
	}
	return []Event{Booked{c.For}}, nil
}

func newShows(store eventstore.Store) *commands.Handler[Seats, Event] {
	codec, err := eventstore.NewCodec(eventstore.TypeOf[Booked]("Booked", 1))
	if err != nil {
		log.Fatal(err)
	}
	shows, err := commands.NewHandler[Seats, Event](store, codec, commands.Config{Category: "show"})
	if err != nil {
		log.Fatal(err)
	}
	return shows
}

func Example() {
	ctx := context.Background()
	shows := newShows(memstore.New(memstore.Config{}))
	for _, name := range []string{"Ada", "Ben", "Ada", "Cyd"} {
		done, err := shows.Handle(ctx, "tonight", Book{name}, commands.Options{Actor: "box office"})
		switch {
		case errors.Is(err, errSoldOut):
			fmt.Println(name, "gets no seat:", err)
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println(name, "has a seat:", done.Stream, "is at version", done.Version)
		}
	}
	// Output:
	// Ada has a seat: show-tonight is at version 0
	// Ben has a seat: show-tonight is at version 1
	// Ada has a seat: show-tonight is at version 1
	// Cyd gets no seat: command refused by stream "show-tonight" at version 1: the show is sold out
}

// A demand on the version makes a command fail if the caller has not seen the
// latest.
func ExampleOptions_expected() {
	ctx := context.Background()
	shows := newShows(memstore.New(memstore.Config{}))
	seen, err := shows.Handle(ctx, "tonight", Book{"Ada"}, commands.Options{Expected: eventstore.NoStream})
	if err != nil {
		log.Fatal(err)
	}
	if _, err = shows.Handle(ctx, "tonight", Book{"Ben"}, commands.Options{}); err != nil {
		log.Fatal(err)
	}
	_, err = shows.Handle(ctx, "tonight", Book{"Cyd"}, commands.Options{Expected: eventstore.Exact(seen.Version)})
	fmt.Println(errors.Is(err, eventstore.ErrConflict), err)
	// Output:
	// true stream "show-tonight" is at version 1, expected version 0
}

// A request with a receipt is carried out once, however often it comes. A refusal
// is kept like a success.
func ExampleReceiptRequest() {
	ctx := context.Background()
	shows := newShows(memstore.New(memstore.Config{}))
	request := func(key, name string) {
		_, err := shows.Handle(ctx, "tonight", Book{name}, commands.Options{Receipt: &commands.ReceiptRequest{
			Scope:       "box office",
			Key:         key,
			Fingerprint: []byte(name),
			Answer: func(refusal error) commands.Answer {
				if refusal != nil {
					return commands.Answer{Body: []byte("sorry, " + refusal.Error())}
				}
				return commands.Answer{Body: []byte("welcome, " + name)}
			},
		}})
		var rejected *commands.RejectedError
		if errors.As(err, &rejected) {
			fmt.Printf("%s: %s (replayed: %t)\n", key, rejected.Answer.Body, rejected.Replayed)
			return
		}
		fmt.Printf("%s: %v\n", key, err)
	}
	request("1", "Ada")
	request("2", "Ben")
	request("3", "Cyd")
	request("3", "Cyd")
	request("3", "Dan")
	// Output:
	// 1: <nil>
	// 2: <nil>
	// 3: sorry, the show is sold out (replayed: false)
	// 3: sorry, the show is sold out (replayed: true)
	// 3: idempotency key "3" was used for another request; use a new key
}

// A unit books seats in two shows, or none.
func ExampleUnits() {
	ctx := context.Background()
	store := memstore.New(memstore.Config{})
	shows := newShows(store)
	units, err := commands.NewUnits(store, commands.UnitConfig{})
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"Ada", "Ben", "Cyd"} {
		done, err := units.Handle(ctx, "book-both", func(tx *commands.Unit) error {
			for _, show := range []string{"matinee", "tonight"} {
				seats, _ := shows.Get(tx, show)
				events, err := Book{name}.Decide(seats)
				if err != nil {
					return err
				}
				shows.Put(tx, show, events...)
			}
			return nil
		}, commands.Options{})
		switch {
		case errors.Is(err, errSoldOut):
			fmt.Println(name, "gets no seats:", err)
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println(name, "has seats in", len(done.Streams), "shows")
		}
	}
	// Output:
	// Ada has seats in 2 shows
	// Ben has seats in 2 shows
	// Cyd gets no seats: command refused by stream "show-matinee" at version 1: the show is sold out
}
