// Package gateway is the port to a payment gateway: what the shop asks of one,
// and what it may answer. Package simulator has one that takes no money.
//
// Every request has an idempotency key, and under one key a gateway does one
// thing, once. So whoever has no answer (ErrUnavailable, ErrUnknown, ErrPending)
// asks again with the same key until there is one; a *DeclinedError is an answer,
// and final. That is also how something is undone whose outcome is unknown: ask
// for the outcome with its key first, then refund what was captured. An
// authorization needs no such care: Void gives it up even if the gateway has not
// heard of it, and none comes after that.
//
// Answers may come twice, and late, by a callback. Command turns each into what
// records it in the log, where one that was recorded before is nothing to do.
//
// Requests and answers are about an order: the shop knows its id before it asks,
// and needs no id of the gateway's that an answer could lose.
package gateway
