// Package core has what a process that delivers decides, without doing it: it does no I/O, reads no clock,
// starts no goroutine and draws no random number of its own. The same code runs in production and under
// the simulation of its tests.
//
// A Partition is one queue of a subscription: what matches goes in (Offer), attempts come out (Next), what
// became of them goes in (Ended), and what the database is to be told comes out (Move). A Breaker is the
// judgement on a target, shared by the partitions of a process that deliver to it: whether it is down or an
// event is poison. Assign says which process a partition belongs to, PartitionOf which partition a key
// belongs to, and Deal and Barrier what becomes of partitions when there are to be more or fewer.
//
// A Partition is used by one goroutine at a time, a Breaker by any.
//
// The life of an event that matches, in a partition that has read it:
//
//	fresh    in memory, waiting for its turn or in flight. The cursor stays below it.
//	row      it failed (waiting), or waits behind one of its key that did (blocked). The cursor may pass it, and
//	         the move that does so writes the row; until then the row is in memory only.
//	dead     a row that is not tried again by itself.
//	done     delivered. A row that was written is removed by the next move.
//
// A caller does this, whenever something has happened: call Next until it has nothing; when an attempt ends, call
// Ended; call Move while Pending is not 0, and Moved with what became of it; call all this again at Wake, and
// for all partitions of a Breaker when its Changes has changed. Who is told by the database that somebody else has
// a partition, or has given it back, calls Lose.
package core
