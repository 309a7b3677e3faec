// Package shipment holds the rules of a shipment of an order: scheduled,
// dispatched and delivered, cancelled before it is dispatched, or failed.
//
//	scheduled → dispatched → delivered
//	   │  └──────────┴─→ failed
//	   └─→ cancelled
//
// A shipment has an id of its own: when one has failed, the order gets another.
//
// Input of a bad form is a *goods.InvalidError. What the state forbids is
// ErrAlreadyScheduled, ErrNotScheduled or a *TransitionError. Doing a thing twice
// is refused like any other transition; a retry is told apart from it by its
// idempotency key, before it gets here. Times are as in package order.
package shipment
