// Package order holds the rules of an order: placed with its lines, confirmed,
// shipped and completed, or cancelled before it is shipped.
//
//	placed → confirmed → shipped → completed
//	   └─────────┴─→ cancelled
//
// A use case is a file: the command, its rule Decide, the event, and its effect
// Evolve. All of them are pure functions: whoever decides brings the time and
// the id, and Evolve never writes into what its argument points to. Commands,
// events and states may share lines; nobody writes to them.
//
// Input of a bad form is a *goods.InvalidError. What the state forbids is
// ErrAlreadyPlaced, ErrNotPlaced or a *TransitionError. Doing a thing twice is
// refused like any other transition; a retry is told apart from it by its
// idempotency key, before it gets here.
//
// Business times are statements of whoever reports them, and clocks differ: an
// order may be confirmed at a time before it was placed. The order of events in
// the log is what happened first.
package order
