// Package shop is a client of the shop that means no good: many connections at once send its HTTP
// API requests that are valid, nearly valid and wild (package wire), and every answer is checked.
//
// Each worker owns a world: orders, articles, customers, a currency and days that nobody else
// touches. So it knows what every valid request must answer, and finds out if something that was
// acknowledged is not there, is there twice, or adds up to something else. Wild requests are of a
// world of their own, about which nothing is believed.
//
// Some commands are sent on two connections at once, under one idempotency key: they take effect
// once, if the connections lead to two servers of one log, too. One world belongs to all workers,
// who get in each other's way there: its answers are judged when the last one is in. Any order of
// the commands will do that explains all answers, has the versions that were acknowledged, and does
// not turn around what was one after the other; what it leaves is then read.
//
// Routes without a model are attacked by what the index says of them. A member or parameter that a
// model does not know is an error.
package shop
