// Package shipment holds the rules of a shipment of an order: scheduled,
// dispatched and delivered, cancelled before it is dispatched, recalled after that,
// or failed.
//
//	scheduled → dispatched → delivered
//	   │  │          ├───────────┴─→ recalled
//	   │  └──────────┴─→ failed
//	   └─→ cancelled
//
// CallOff is for an order that the customer is not to get: whatever the shipment is
// then, it is cancelled, recalled, or has failed after it. Goods that are recalled
// come back to the shop.
//
// A shipment has an id of its own: when one has failed, the order gets another.
//
// Input of a bad form is a *goods.InvalidError. What the state forbids is
// ErrAlreadyScheduled, ErrNotScheduled or a *TransitionError. Doing a thing twice
// is refused like any other transition; a retry is told apart from it by its
// idempotency key, before it gets here. Times are as in package order.
package shipment
