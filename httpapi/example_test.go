package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/httpapi"
)

// The aggregate: a door that is open or not.
type door struct{ Open bool }

type opened struct{}

func (opened) Evolve(d door) door { return door{Open: true} }

var errOpen = errors.New("the door is open already")

type openDoor struct{}

func (openDoor) Decide(d door) ([]commands.Event[door], error) {
	if d.Open {
		return nil, errOpen
	}
	return []commands.Event[door]{opened{}}, nil
}

func Example() {
	codec, err := eventstore.NewCodec(eventstore.TypeOf[opened]("DoorOpened", 1))
	if err != nil {
		panic(err)
	}
	doors, err := commands.NewHandler[door, commands.Event[door]](memstore.New(memstore.Config{}), codec, commands.Config{Category: "door"})
	if err != nil {
		panic(err)
	}

	api, err := httpapi.New(httpapi.Config{Problems: []httpapi.DomainProblem{{Err: errOpen, Kind: httpapi.Kind{
		Code: "door-open", Status: http.StatusConflict, Title: "The door is open",
		Meaning: "An open door cannot be opened.", Fix: "Walk through.",
	}}}})
	if err != nil {
		panic(err)
	}
	httpapi.Command(api, "POST", "/v1/doors/{id}/open", httpapi.CommandOptions{OptionalBody: true},
		func(ctx context.Context, in httpapi.CommandRequest[struct{}]) (commands.Result, error) {
			return doors.Handle(ctx, in.Path("id"), openDoor{}, in.Options)
		})
	httpapi.Read(api, "/v1/doors/{id}", httpapi.NoParams,
		func(ctx context.Context, in httpapi.ReadRequest[struct{}]) (door, error) {
			state, _, err := doors.Load(ctx, in.Path("id"))
			return state, err
		})
	handler, err := api.Handler() // or api.Serve
	if err != nil {
		panic(err)
	}

	send := func(method, path, key string) {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("X-Request-Id", "r"+key)
		r.Header.Set("Idempotency-Key", key)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		body, _ := io.ReadAll(w.Result().Body)
		fmt.Println(w.Code, strings.TrimSpace(string(body)))
	}
	send("POST", "/v1/doors/7/open", "1")
	send("POST", "/v1/doors/7/open", "1")
	send("POST", "/v1/doors/7/open", "2")
	send("GET", "/v1/doors/7", "")
	// Output:
	// 200 {"stream":"door-7","version":0,"position":1}
	// 200 {"stream":"door-7","version":0,"position":1}
	// 409 {"type":"/problems/door-open","title":"The door is open","status":409,"code":"door-open","detail":"the door is open already","hint":"Walk through.","instance":"/v1/doors/7/open","request_id":"r2"}
	// 200 {"Open":true}
}
