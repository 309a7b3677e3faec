// Package sample makes up the invoices of a shop that does not exist, as a CSV
// file of the shape that package onlineretail reads, for trying and testing.
//
// They are as messy as those of a real shop. There are guests without an id,
// prices of zero, empty descriptions, stray spaces, quotes and letters beyond
// ASCII, an article twice in one invoice, articles that differ only in the case
// of a letter, invoices whose lines differ in their minute, orders of hundreds of
// lines, goods that come back in part, discounts and stock adjustments. Few
// articles sell often, and many seldom.
//
// The same Config gives the same bytes on every machine: all choices are made
// from one seeded source, with integers only, since floating point may round
// differently elsewhere.
package sample
