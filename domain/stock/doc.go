// Package stock holds the rules of the stock of one article: goods received,
// counted again, reserved for orders, released or committed.
//
// Of the units on hand some are reserved, each for an order; the rest is
// available. Neither number is ever below zero:
//
//	available = on hand − reserved ≥ 0
//
//	receive  on hand grows
//	adjust   on hand follows what was counted, lost or found
//	reserve  available units are kept for an order
//	release  an order gives back what it has reserved
//	commit   reserved units leave the house
//
// ReleaseAll releases whatever an order has, for one that was cancelled; CommitAll commits it.
//
// ReserveOrder, ReleaseOrder and CommitOrder are about all lines of an order, and
// decided from each article. Where nobody else remembers what was done for the
// order they are decided from its Reservation first:
//
//	reserve → reserved → released, handed out
//	refuse  → refused
//	release → released, so that a reservation that comes later is refused
//
// An order may reserve an article several times; its reservations add up, and
// may be released or committed in parts. What is promised to an order stays
// promised: an adjustment that would leave fewer units than are reserved is
// refused. Whoever finds so few releases reservations first, and thereby
// decides which order will not be served.
//
// A command names its article, and its events repeat the name; the caller brings
// the stock of that article.
//
// Events say what changed, not what it came to: a fold has the row before. The
// state keeps an order only while it has something reserved, so its size follows
// the open orders and not the history. Everything is a pure function; Evolve
// copies the map it changes.
package stock
