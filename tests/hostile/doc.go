// Package hostile is a client that means no good: many connections at once send
// the shop's HTTP API requests that are valid, nearly valid and wild, and every
// answer is checked.
//
// Each worker owns a world: orders, articles, customers, a currency and days
// that nobody else touches. So it knows what every valid request must answer,
// and finds out if something that was acknowledged is not there, is there twice,
// or adds up to something else. A nearly valid request is a valid one with one
// mutation, which says which problem the answer must be; some mutations change
// nothing that counts, such as the order of members. Wild requests are of a
// world of their own, about which nothing is believed; they and raw connections
// only have to be answered in good order.
//
// Some commands are sent on two connections at once, under one idempotency
// key: they take effect once, if the connections lead to two servers of one
// log, too. One world belongs to all workers, who get in each other's way
// there: its answers are judged when the last one is in. Any order of the
// commands will do that explains all answers, has the versions that were
// acknowledged, and does not turn around what was one after the other; what
// it leaves is then read.
//
// GET / says which routes there are, with their members and parameters. Requests
// to one that has no model are made of that, and need only be answered in good
// order. A member or parameter that a model does not know is an error.
//
// Every answer must be below 500, but for 503 projection-behind to a read that
// did not want to wait; every 4xx a problem with a hint, whose type opens a page.
// Run returns a *Failure with the request as a line for curl at the first answer
// that is not so. A seed makes the same requests per worker again, as far as the
// answers are the same.
package hostile
