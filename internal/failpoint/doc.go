// Package failpoint names instructions of the product at which a test may end, freeze, delay or
// fail the process, or do something of its own.
//
// All of it is there only in programs built with the tag failpoints, on Linux:
//
//	go build -tags failpoints ./cmd/recount
//
// In all others Hit and Fail do nothing, which the compiler sees: it inlines the calls and leaves
// them out, names included. Only in generic code that another package instantiates it may leave the
// call of an empty function.
//
// # In another process
//
// RECOUNT_FAILPOINTS says what happens where, settings apart by semicolons:
//
//	append/committed=kill@37      SIGKILL at the 37th hit
//	lease/renewed=stop@3          SIGSTOP at the 3rd; whoever set it sends SIGCONT
//	append/begin=delay:20ms       20 ms at every hit
//	notify/send=error             an error at every hit, at the points that can fail
//
// RECOUNT_FAILPOINTS_UNTIL, if it is set, names a file: once that is there, nothing happens any
// more.
//
// A point counts its own hits, from 1, in this process. Whatever happens is said on stderr first.
// Points lists all points with a sentence each. A program with a setting that it does not
// understand says so and ends with exit code 2 before it does anything else.
//
// # In a test
//
// On returns a context. Whatever runs in it calls a function of the test at a point, on its own
// goroutine; nobody else does, so that tests can run in parallel. OnAll has one function for all
// points, which is told what each is about.
package failpoint
