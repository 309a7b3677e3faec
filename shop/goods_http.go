package shop

import (
	"cmp"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/httpapi"
)

// goodsBody is what the bodies of an order and of a return have in common.
type goodsBody struct {
	atBody
	// ID is chosen by the client, or made here if it is left out.
	ID *string `json:"id"`
	// CustomerID is null or left out for a guest.
	CustomerID *string    `json:"customer_id"`
	Country    string     `json:"country" http:"required"`
	Currency   string     `json:"currency" http:"required"`
	Lines      []lineBody `json:"lines" http:"required"`
}

// lineBody is a goods.Line.
type lineBody struct {
	SKU            string `json:"sku" http:"required"`
	Description    string `json:"description"`
	Quantity       int64  `json:"quantity" http:"required"`
	UnitPriceMinor int64  `json:"unit_price_minor" http:"required"`
}

// sameTime refuses a business time that is given under two names and differs.
func (b goodsBody) sameTime(name string, other httpapi.Time) error {
	none := httpapi.Time{}
	if b.At != none && other != none && b.At != other {
		return &goods.InvalidError{Field: "/" + name, Reason: "must not differ from at, which means the same: leave one of them out"}
	}
	return nil
}

func (b goodsBody) goodsLines() []goods.Line {
	lines := make([]goods.Line, len(b.Lines))
	for i, l := range b.Lines {
		lines[i] = goods.Line{SKU: l.SKU, Description: l.Description, Quantity: l.Quantity, UnitPriceMinor: l.UnitPriceMinor}
	}
	return lines
}

// request checks the id, and puts the business time of the body into a request. Other is the time under its other
// name.
func (b goodsBody) request(r *app.Request, other httpapi.Time) error {
	r.At = cmp.Or(b.At, other).Or(r.Now)
	// The domain checks it too, but what cannot be part of a stream's name would not get there.
	return goods.CheckID("/id", r.ID)
}

// atBody is the part that all bodies share.
type atBody struct {
	At httpapi.Time `json:"at"`
}

// request puts the business time of the body into a request.
func (b atBody) request(r *app.Request) { r.At = b.At.Or(r.Now) }
