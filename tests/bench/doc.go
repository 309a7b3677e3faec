// Package bench measures how fast the parts of the engine and the shop are, each against the
// plainest way to do the same on the same PostgreSQL.
//
// A figure alone says more about the machine than about the program. So every [Benchmark] runs its
// contenders in turns, some seconds each and several rounds, and reports ratios besides the rates:
// those hold on other machines, and on one that has other things to do. Contenders with the name of
// a part of Recount are that part as it is; the others are baselines, which do as little as they
// can get away with, and are in this package, to be read and doubted. The exception is [Compare],
// which measures other event stores too; those are in a module of their own, which asks for it by
// [Serve].
//
// [Run] measures on a PostgreSQL that it starts and throws away, with fsync on, or on a given one,
// in schemas of its own that it removes. [Render] makes a page of reports.
package bench
