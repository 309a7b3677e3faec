package commandtest_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/57528e99/recount/commands/commandtest"
)

// Seats is the state of a show: who has a seat.
type Seats struct{ Taken []string }

// Event is an event of a show.
type Event interface{ Evolve(Seats) Seats }

// Booked says that somebody got a seat.
type Booked struct{ Name string }

func (e Booked) Evolve(s Seats) Seats {
	s.Taken = append(slices.Clip(s.Taken), e.Name)
	return s
}

// Book asks for a seat. There are two.
type Book struct{ For string }

var errSoldOut = errors.New("sold out")

func (c Book) Decide(s Seats) ([]Event, error) {
	switch {
	case slices.Contains(s.Taken, c.For):
		return nil, nil
	case len(s.Taken) == 2:
		return nil, errSoldOut
	}
	return []Event{Booked{c.For}}, nil
}

func TestBook(t *testing.T) {
	none := commandtest.Given[Seats, Event](t)
	full := commandtest.Given[Seats, Event](t, Booked{"Ada"}, Booked{"Ben"})

	none.When(Book{"Ada"}).Then(Booked{"Ada"})
	full.When(Book{"Ada"}).ThenNothing()
	full.When(Book{"Cyd"}).ThenError(errSoldOut)
}

// In a test, t is the *testing.T. Here it prints, to show what a failure looks
// like.
func Example() {
	t := printer{}
	commandtest.Given[Seats, Event](t, Booked{"Ada"}).
		When(Book{"Ben"}).
		Then(Booked{"Cyd"})
	// Output:
	// commandtest_test.Book decides other events than wanted:
	//   [0].Name: got "Ben", want "Cyd"
	// got
	//   [0] commandtest_test.Booked {Name:Ben}
	// want
	//   [0] commandtest_test.Booked {Name:Cyd}
}

// Unbooked forgets a booking, and does it wrong.
type Unbooked struct{ Name string }

func (e Unbooked) Evolve(s Seats) Seats {
	s.Taken = slices.DeleteFunc(s.Taken, func(name string) bool { return name == e.Name })
	return s
}

// An Evolve that changes the state it is given, instead of a clone, would change
// the handler's cached states behind its back.
func Example_evolveThatWrites() {
	t := printer{}
	commandtest.Given[Seats, Event](t, Booked{"Ada"}, Unbooked{"Ada"})
	// Output:
	// Evolve of commandtest_test.Unbooked writes into what it is given:
	//   .State.Taken[0]: "Ada" became ""
	// change a clone: slices.Clone, maps.Clone, and slices.Clip before append
}

type printer struct{}

func (printer) Helper() {}

func (printer) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
