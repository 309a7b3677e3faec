package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/httpapi"
)

// purse is the aggregate of these tests: money goes in and out, never below
// zero.
type purse struct{ Balance int64 }

type purseEvent = commands.Event[purse]

type moved struct {
	Amount int64     `json:"amount"`
	At     time.Time `json:"at"`
}

func (e moved) Evolve(p purse) purse { return purse{p.Balance + e.Amount} }

var (
	errEmpty   = errors.New("there is not that much in the purse")
	errLocked  = errors.New("the purse is locked")
	kindLocked = httpapi.Kind{Code: "purse-locked", Status: http.StatusConflict, Title: "The purse is locked",
		Meaning: "Nobody can take anything out.", Fix: "Wait until it is opened."}
)

// move adds an amount, which may be negative. Nothing to move is nothing to do.
type move struct {
	Amount int64
	At     time.Time
	// meanwhile, if set, is called while the command is decided.
	meanwhile func()
}

// amountError blames the amount.
type amountError struct{ error }

func (amountError) InvalidField() (pointer, reason string) {
	return "/amount", "must not be more than there is"
}

func (c move) Decide(p purse) ([]purseEvent, error) {
	if c.meanwhile != nil {
		c.meanwhile()
	}
	switch {
	case c.Amount == 0:
		return nil, nil
	case c.Amount == -13:
		return nil, errLocked
	case p.Balance+c.Amount < 0:
		return nil, amountError{errEmpty}
	}
	return []purseEvent{moved{c.Amount, c.At}}, nil
}

type moveBody struct {
	At     httpapi.Time `json:"at"`
	Amount int64        `json:"amount"`
}

// bench is an API with purses.
type bench struct {
	http.Handler
	api    *httpapi.API
	store  *memstore.Store
	purses *commands.Handler[purse, purseEvent]
	// meanwhile is passed to commands on /purses/{id}/move.
	meanwhile func()
}

var now = time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)

func newBench(t *testing.T, c httpapi.Config) *bench {
	t.Helper()
	codec, err := eventstore.NewCodec(eventstore.TypeOf[moved]("Moved", 1))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{store: memstore.New(memstore.Config{})}
	b.purses, err = commands.NewHandler[purse, purseEvent](b.store, codec, commands.Config{Category: "purse"})
	if err != nil {
		t.Fatal(err)
	}
	c.Now = func() time.Time { return now.Add(789 * time.Nanosecond) } // clocks are finer than times are kept
	c.Problems = append(c.Problems, httpapi.DomainProblem{Err: errLocked, Kind: kindLocked})
	b.api = newAPI(t, c)
	httpapi.Command(b.api, "POST", "/purses", httpapi.CommandOptions{
		Name: "purse.open", IDMember: "id",
		Location: func(r commands.Result) string { return "/purses/" + url.PathEscape(eventstore.StreamID(r.Stream)) },
	}, b.open)
	httpapi.Command(b.api, "POST", "/purses/{id}/move", httpapi.CommandOptions{Name: "purse.move"}, b.move)
	httpapi.Command(b.api, "POST", "/purses/{id}/touch", httpapi.CommandOptions{OptionalBody: true}, b.move)
	httpapi.Command(b.api, "POST", "/purses/{id}/settle", httpapi.CommandOptions{Name: "purse.settle", Internal: true}, b.move)
	httpapi.Commands(b.api)
	b.Handler = handlerOf(t, b.api)
	return b
}

type openBody struct {
	ID     string `json:"id"`
	Amount int64  `json:"amount"`
}

func (b *bench) open(ctx context.Context, in httpapi.CommandRequest[openBody]) (commands.Result, error) {
	return b.purses.Handle(ctx, in.ID, move{Amount: in.Body.Amount, At: in.Now}, in.Options)
}

func (b *bench) move(ctx context.Context, in httpapi.CommandRequest[moveBody]) (commands.Result, error) {
	at := in.Body.At.Or(in.Now)
	in.Options.At = at
	return b.purses.Handle(ctx, in.Path("id"), move{in.Body.Amount, at, b.meanwhile}, in.Options)
}

// events returns what is in the log.
func (b *bench) events(t *testing.T) []eventstore.RecordedEvent {
	t.Helper()
	var list []eventstore.RecordedEvent
	for e, err := range b.store.ReadAll(t.Context(), eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatalf("ReadAll: %v", err)
		}
		list = append(list, e)
	}
	return list
}
