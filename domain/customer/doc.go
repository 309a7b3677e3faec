// Package customer holds the rules of a customer: registered once, with the
// e-mail address that mails go to, which may change.
//
// An address is optional, as in an order, and of the same form. Nobody looks
// whether two customers have the same one.
//
// Input of a bad form is a *goods.InvalidError. What the state forbids is
// ErrAlreadyRegistered or ErrNotRegistered. Changing an address to what it is
// already is nothing to do.
package customer
