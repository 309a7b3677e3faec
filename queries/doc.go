// Package queries reads what package projections keeps.
//
// Get reads one row by its key, and returns the Row only: the caller has the key. Find pages
// through rows, by keyset, along declared indexes only, so that no request can make the database
// scan a table. SQL runs a statement of the program's own over the tables of projections, which it
// names {name}, such as {orders}.
//
// Each takes a consistency token, as an append returns it: the read waits until the projection has
// come that far, and so sees what the append made. If it takes longer than the context says (see
// WithWait) or the reader's Wait, or the projection is paused or has failed, the error is a
// *BehindError. The zero token waits for nothing, except that a projection which is still being
// built for the first time is not read half done.
//
// A read takes one round trip, and goes to the generation of rows that the program's version of the
// projection made. How far the rows are is read before the rows: they are at least as new as
// claimed.
//
// Trace reads the log itself: it returns the tree of what led to what around an event.
package queries
