// Package payment holds the rules of the payment of an order, as a payment
// gateway makes it.
//
//	authorize  an amount is held on a card, once for an order
//	decline    it was not; another card may be tried, under another key
//	capture    of what is held some or all is taken
//	           or declined, as of an authorization that has expired: it is held still
//	void       what is held and not captured is given up, for good
//	refund     of what was captured some or all is given back
//
// At no time is more captured than authorized, or more refunded than captured:
//
//	0 ≤ refunded ≤ captured ≤ authorized
//
// A payment has the id of its order; a command names the order, and its events
// repeat the name. A free order has no payment. Cards are the gateway's and never
// in the log.
//
// Commands record what the gateway has answered. Decide is pure, so whoever is
// about to ask the gateway asks it first, with the same command: what is refused
// here is not asked for there. For one order one thing is asked after the other.
//
// Each command has the idempotency key under which the gateway was asked, and the
// state keeps them. What is recorded under its key already is nothing to do, so
// answers that come twice, or after a crash, do no harm. Another command or amount
// under a key is ErrKeyReused: a key has one outcome.
//
// A payment whose authorization nobody has heard of can be voided: the answer was
// lost, and when it is found it is ErrVoided. Void gives back nothing that was
// captured: when nothing else is left it is ErrCaptured, until that is refunded.
//
// Events say what changed, not what it came to. Evolve keeps every amount within
// ±money.Max, whatever a log has.
package payment
