package shop

import (
	"net/http"

	"github.com/57528e99/recount/httpapi"
)

// What the errors of the domain are over HTTP: 422 if the request can never be accepted, 409 if the
// state of things is against it.
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
	kindCustomerExists = httpapi.Kind{Code: "customer-exists", Status: http.StatusConflict,
		Title:   "The customer is registered already",
		Meaning: "A customer with this id was registered before. Nothing was written.",
		Fix:     "Use another id for another customer, or none to be given one; POST /v1/customers/{id}/change-email changes the address."}
	kindCustomerNotFound = httpapi.Kind{Code: "customer-not-found", Status: http.StatusNotFound,
		Title:   "There is no such customer",
		Meaning: "No customer with this id was ever registered. Nothing was written.",
		Fix:     "Check the id, or register the customer first: POST /v1/customers"}
	kindTotalTooLarge = httpapi.Kind{Code: "total-too-large", Status: http.StatusUnprocessableEntity,
		Title:   "A sum is too large",
		Meaning: "A sum is beyond 9007199254740991, the largest number that all JSON programs read exactly.",
		Fix:     "Ask for the sales of fewer days with from and to, or add up the single items."}
)
