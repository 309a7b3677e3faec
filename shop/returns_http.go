package shop

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/returns"
	"github.com/57528e99/recount/httpapi"
)

type returnBody struct {
	goodsBody
	// ReturnedAt is another name of At.
	ReturnedAt httpapi.Time `json:"returned_at"`
}

// Validate implements httpapi.Validator.
func (b returnBody) Validate() error {
	return cmp.Or(b.validate(), b.sameTime("returned_at", b.ReturnedAt))
}

func (b returnBody) businessTime() httpapi.Time { return cmp.Or(b.At, b.ReturnedAt) }

func accept(id string, b returnBody, at time.Time) commands.Command[returns.Return, returns.Event] {
	return returns.Accept{ID: id, CustomerID: b.CustomerID, Country: b.Country, Currency: b.Currency, Lines: b.goodsLines(), At: at}
}

func newReturnID(in httpapi.CommandRequest[returnBody]) (string, error) { return in.Body.idOrNew() }
