package shop

import (
	"net/http"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/money"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/returns"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
)

// Problems returns what the errors of the domain are over HTTP: 422 if the
// request can never be accepted, 409 if the state of things is against it.
func Problems() []httpapi.DomainProblem {
	return []httpapi.DomainProblem{
		{Err: goods.ErrInvalid, Kind: kindInvalidInput},
		{Err: order.ErrNotPlaced, Kind: kindOrderNotFound},
		{Err: order.ErrAlreadyPlaced, Kind: kindOrderExists},
		{Err: order.ErrTransition, Kind: kindOrderStatus},
		{Err: stock.ErrInsufficient, Kind: kindStockInsufficient},
		{Err: stock.ErrNotReserved, Kind: kindStockNotReserved},
		{Err: stock.ErrOverflow, Kind: kindStockFull},
		{Err: returns.ErrAlreadyReturned, Kind: kindReturnExists},
		{Err: money.ErrOverflow, Kind: kindTotalTooLarge},
		{Err: projections.ErrNotFound, Kind: kindProjectionNotFound},
		{Err: projections.ErrNotFailed, Kind: kindProjectionNotFailed},
		{Err: projections.ErrOperationNotFound, Kind: kindOperationNotFound},
		{Err: projections.ErrBusy, Kind: kindProjectionBusy},
		{Err: projections.ErrInvalidRequest, Kind: kindInvalidOperation},
		{Err: projections.ErrAhead, Kind: kindNotYet},
		{Err: projections.ErrLongHistory, Kind: kindLongHistory},
	}
}

var (
	kindInvalidInput = httpapi.Kind{Code: "invalid-input", Status: http.StatusUnprocessableEntity,
		Title:   "A value is not one that the shop takes",
		Meaning: "The request is well-formed, but one of its values is out of the bounds of the shop. Nothing was written.",
		Fix:     "Correct what errors points to; the same request will never be accepted."}
	kindOrderNotFound = httpapi.Kind{Code: "order-not-found", Status: http.StatusNotFound,
		Title:   "There is no such order",
		Meaning: "No order with this id was ever placed. Nothing was written.",
		Fix:     "Check the id, or place the order first: POST /v1/orders"}
	kindOrderExists = httpapi.Kind{Code: "order-exists", Status: http.StatusConflict,
		Title:   "The order exists already",
		Meaning: "An order with this id was placed before. Nothing was written.",
		Fix:     "Use another id for another order, or none to be given one. Whoever repeats a request sends it with the same Idempotency-Key, and gets the first answer."}
	kindOrderStatus = httpapi.Kind{Code: "order-status", Status: http.StatusConflict,
		Title:   "The order is not in the status for this",
		Meaning: "An order is placed, confirmed, shipped, completed, one after the other, or cancelled before it is shipped. Nothing was written.",
		Fix:     "detail says which status allows it; GET /v1/orders/{id} shows the present one."}
	kindStockInsufficient = httpapi.Kind{Code: "stock-insufficient", Status: http.StatusConflict,
		Title:   "There is not enough in stock",
		Meaning: "Fewer units are available, which is on hand less reserved, than the command would take. Nothing was written.",
		Fix:     "Take fewer, or receive goods or release reservations first; GET /v1/stock/{sku} shows the numbers."}
	kindStockNotReserved = httpapi.Kind{Code: "stock-not-reserved", Status: http.StatusConflict,
		Title:   "The order has not reserved as much",
		Meaning: "An order can release or commit what it has reserved of the article, and no more. Nothing was written.",
		Fix:     "Reserve for the order first, or use the quantity in detail."}
	kindStockFull = httpapi.Kind{Code: "stock-full", Status: http.StatusConflict,
		Title:   "There would be too many units",
		Meaning: "There can be at most 9007199254740991 units of an article on hand. Nothing was written.",
		Fix:     "Check the quantity, and take units off the books that are not there: POST /v1/stock/{sku}/adjust"}
	kindReturnExists = httpapi.Kind{Code: "return-exists", Status: http.StatusConflict,
		Title:   "The return exists already",
		Meaning: "A return with this id was accepted before. Nothing was written.",
		Fix:     "Use another id for another return, or none to be given one. Whoever repeats a request sends it with the same Idempotency-Key, and gets the first answer."}
	kindTotalTooLarge = httpapi.Kind{Code: "total-too-large", Status: http.StatusUnprocessableEntity,
		Title:   "A sum is too large",
		Meaning: "A sum is beyond 9007199254740991, the largest number that all JSON programs read exactly.",
		Fix:     "Ask for the sales of fewer days with from and to, or add up the single items."}
)

// Problems of steering projections, and of operations on them.
var (
	kindProjectionNotFound = httpapi.Kind{Code: "projection-not-found", Status: http.StatusNotFound,
		Title:   "There is no such projection",
		Meaning: "This server has no projection of the name, or none that was ever run. Nothing was done.",
		Fix:     "GET /v1/projections lists them, as recount projections ls does."}
	kindProjectionNotFailed = httpapi.Kind{Code: "projection-not-failed", Status: http.StatusConflict,
		Title:   "The projection has not stopped on this event",
		Meaning: "Only the event that a projection has stopped on can be left out of it, and it has not stopped, or on another one. Nothing was done.",
		Fix:     "GET /v1/projections/{name} says what the projection is doing, and in failure which event it has stopped on, if any."}
	kindOperationNotFound = httpapi.Kind{Code: "operation-not-found", Status: http.StatusNotFound,
		Title:   "There is no such operation",
		Meaning: "No operation has this id.",
		Fix:     "Take the id from Location of the answer that began it; recount projections show NAME lists the last ones."}
	kindProjectionBusy = httpapi.Kind{Code: "projection-busy", Status: http.StatusConflict,
		Title:   "Another operation works on the projection",
		Meaning: "A projection is rebuilt, rolled back, verified or repaired by one operation at a time. Nothing was begun.",
		Fix:     "Wait for it, or end it: DELETE /v1/operations/{id}, or recount projections cancel with its id."}
	kindInvalidOperation = httpapi.Kind{Code: "invalid-operation", Status: http.StatusBadRequest,
		Title:   "The operation cannot be done so",
		Meaning: "One of the options is missing or out of its bounds, or the projection is not of a kind that this can be done with. Nothing was begun.",
		Fix:     "Correct the option, or ask for another operation."}
)
