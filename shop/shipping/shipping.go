// Package shipping is the service that sends the goods of orders on their way. It knows its own events alone.
package shipping

import (
	"context"
	"net/http"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/queries"
)

const category = "shipment"

var (
	kindNotFound = httpapi.Kind{Code: "shipment-not-found", Status: http.StatusNotFound,
		Title:   "There is no such shipment",
		Meaning: "No shipment with this id was ever scheduled. Nothing was written.",
		Fix:     "Check the id: the first shipment of an order has the id of the order, once its checkout has scheduled it."}
	kindStatus = httpapi.Kind{Code: "shipment-status", Status: http.StatusConflict,
		Title:   "The shipment is not in the status for this",
		Meaning: "A shipment is scheduled, dispatched, delivered, one after the other; it can fail until it is delivered, be cancelled until it is dispatched, and is recalled if its order is cancelled after that. Nothing was written.",
		Fix:     "detail says which status allows it; GET /v1/shipments/{id} shows the present one."}
)

// Module has the streams shipment-{id}. The shop schedules shipments and calls them off; who carries the goods says over HTTP what became
// of them.
func Module() app.Module {
	return app.Module{
		Name: "shipments",
		Aggregates: []app.Aggregate{app.NewAggregate[shipment.Shipment, shipment.Event](category, "/v1/shipments").
			Events(
				app.Event[shipment.Scheduled]("ShipmentScheduled", 1),
				app.Event[shipment.Dispatched]("ShipmentDispatched", 1),
				app.Event[shipment.Delivered]("ShipmentDelivered", 1),
				app.Event[shipment.Cancelled]("ShipmentCancelled", 1),
				app.Event[shipment.Recalled]("ShipmentRecalled", 1),
				app.Event[shipment.Failed]("ShipmentFailed", 1)).
			Commands(
				app.Create[shipment.Schedule]("schedule", app.Internal),
				app.Do[shipment.CallOff]("call-off", app.Internal),
				app.Do[shipment.Dispatch]("dispatch", app.Body(dispatch), app.OptionalBody),
				app.Do[shipment.Deliver]("deliver", app.Body(deliver), app.OptionalBody),
				app.Do[shipment.Fail]("fail", app.Body(fail)))},
		Routes: func(s *app.Service, a *httpapi.API) {
			httpapi.Read(a, "/v1/shipments/{id}", httpapi.NoParams, reads{s}.shipment)
			a.Access(httpapi.Access{Stream: category + "-{id}"})
		},
		Problems: []httpapi.DomainProblem{
			{Err: shipment.ErrNotScheduled, Kind: kindNotFound},
			{Err: shipment.ErrTransition, Kind: kindStatus},
		},
	}
}

type atBody struct {
	At httpapi.Time `json:"at"`
}

func dispatch(r *app.Request, b atBody) (shipment.Dispatch, error) {
	r.At = b.At.Or(r.Now)
	return shipment.Dispatch{At: r.At}, checkID(r)
}

func deliver(r *app.Request, b atBody) (shipment.Deliver, error) {
	r.At = b.At.Or(r.Now)
	return shipment.Deliver{At: r.At}, checkID(r)
}

type failBody struct {
	atBody
	Reason string `json:"reason" http:"required"`
}

func fail(r *app.Request, b failBody) (shipment.Fail, error) {
	r.At = b.At.Or(r.Now)
	return shipment.Fail{Reason: b.Reason, At: r.At}, checkID(r)
}

// checkID: an id that no shipment can have is one of a shipment that does not exist.
func checkID(r *app.Request) error {
	if goods.CheckID("/id", r.ID) != nil {
		return shipment.ErrNotScheduled
	}
	return nil
}

type reads struct{ *app.Service }

// view is a shipment as it is read.
type view struct {
	shipment.Shipment
	version int64
}

// StreamVersion implements httpapi.Versioned.
func (v view) StreamVersion() int64 { return v.version }

// shipment answers with the state of the stream, so with all that was written.
func (r reads) shipment(ctx context.Context, in httpapi.ReadRequest[struct{}]) (view, error) {
	id := in.Path("id")
	if goods.CheckID("/id", id) != nil {
		return view{}, queries.ErrNotFound
	}
	state, version, err := r.Commands.State(ctx, category+"-"+id, commands.Moment{})
	if err == nil && version < 0 {
		err = queries.ErrNotFound
	}
	s, _ := state.(shipment.Shipment)
	return view{s, version}, err
}
