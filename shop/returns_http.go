package shop

import (
	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/domain/returns"
	"github.com/57528e99/recount/httpapi"
)

// returnsModule has the streams return-{id}. They are read as part of customers and sales.
func returnsModule() app.Module {
	return app.Module{
		Name: "returns",
		Aggregates: []app.Aggregate{app.NewAggregate[returns.Return, returns.Event](categoryReturn, "/v1/returns").
			Events(app.Event[returns.Returned]("ReturnAccepted", 1)).
			Commands(app.Create[returns.Accept]("accept", app.Body(accept), app.NoLocation))},
		Problems: []httpapi.DomainProblem{{Err: returns.ErrAlreadyReturned, Kind: kindReturnExists}},
	}
}

type returnBody struct {
	goodsBody
	// ReturnedAt is another name of At.
	ReturnedAt httpapi.Time `json:"returned_at"`
}

// Validate implements httpapi.Validator.
func (b returnBody) Validate() error {
	return b.sameTime("returned_at", b.ReturnedAt)
}

func accept(r *app.Request, b returnBody) (returns.Accept, error) {
	if err := b.request(r, b.ReturnedAt); err != nil {
		return returns.Accept{}, err
	}
	return returns.Accept{ID: r.ID, CustomerID: b.CustomerID, Country: b.Country, Currency: b.Currency, Lines: b.goodsLines(), At: r.At}, nil
}
