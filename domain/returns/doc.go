// Package returns holds the rules of a return: goods, or a discount, given back
// to a customer or a guest.
//
// A return is accepted once, whole, and never changes. Its lines are like those
// of an order, with positive quantities and prices; their total is the refund. A
// discount is a line like any other, e.g. of an article "DISCOUNT". It need not
// name an order: shops take back what they sold before they kept orders here.
//
// Input of a bad form is a *goods.InvalidError; an id that was used before is
// ErrAlreadyReturned.
package returns
