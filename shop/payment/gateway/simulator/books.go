package simulator

import "github.com/57528e99/recount/shop/payment/gateway"

// Amounts are what a gateway has done for an order, in minor units.
type Amounts struct{ AuthorizedMinor, CapturedMinor, VoidedMinor, RefundedMinor int64 }

// Held returns how much is held and neither captured nor given up.
func (a Amounts) Held() int64 { return a.AuthorizedMinor - a.CapturedMinor - a.VoidedMinor }

// book is what the gateway knows of an order. The rules are written down anew, not
// taken from the domain: whoever compares the two compares two accounts.
type book struct {
	Amounts
	currency string
	closed   bool // by Void
}

// judge returns the answer to a request. Nothing is done yet.
func (b book) judge(op gateway.Operation, r gateway.Request) gateway.Answer {
	a := gateway.Answer{Operation: op, Key: r.Key, OrderID: r.OrderID, AmountMinor: r.AmountMinor, Currency: r.Currency}
	switch {
	case r.AmountMinor <= 0 && op != gateway.Void:
		a.Declined = "there is no amount"
	case b.currency != "" && r.Currency != b.currency && op != gateway.Void:
		a.Declined = "the currency is another than " + b.currency
	case op == gateway.Authorize && b.closed:
		a.Declined = "the order was voided"
	case op == gateway.Authorize && b.AuthorizedMinor > 0:
		a.Declined = "the order is authorized already"
	case op == gateway.Capture && r.AmountMinor > b.Held():
		a.Declined = "it is more than is held"
	case op == gateway.Refund && r.AmountMinor > b.CapturedMinor-b.RefundedMinor:
		a.Declined = "it is more than was captured"
	case op == gateway.Void && b.Held() == 0 && b.CapturedMinor > b.RefundedMinor:
		a.Declined = "all is captured"
	case op == gateway.Void:
		a.AmountMinor, a.Currency = b.Held(), b.currency
	}
	return a
}

// with returns the book after an answer.
func (b book) with(a gateway.Answer) book {
	switch {
	case a.Declined != "":
	case a.Operation == gateway.Authorize:
		b.AuthorizedMinor, b.currency = a.AmountMinor, a.Currency
	case a.Operation == gateway.Capture:
		b.CapturedMinor += a.AmountMinor
	case a.Operation == gateway.Void:
		b.VoidedMinor, b.closed = b.VoidedMinor+a.AmountMinor, true
	case a.Operation == gateway.Refund:
		b.RefundedMinor += a.AmountMinor
	}
	return b
}
