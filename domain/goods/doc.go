// Package goods holds what the shop's aggregates share: the lines of an order
// or a return, what a good id, key, article code, quantity, amount or time is, and
// how it is said that a status does not allow something.
//
// The checks are about the form of an input and know no state. They return an
// *InvalidError, which names the field by a JSON pointer and says what it must
// be; the rules about state are in the aggregates. Bounds are in bytes and
// inclusive. Nothing is trimmed or folded to one case: a text is taken as it is
// or refused, so that what was asked for is what was recorded.
//
// Article codes are case-sensitive: MUG-1a and MUG-1A are two articles.
package goods
