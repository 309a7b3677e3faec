// Package trials shows that faults of the product would be noticed: each of those that package
// failpoint can plant has a scenario, run by the tests of this package, that breaks a rule if the fault
// is there, and none if it is not.
//
// The scenarios are tests like any other, and pass. Run plants the faults: it builds the tests with
// the tag failpoints and runs each scenario twice, with its fault and without. A fault is caught if the
// rule that was named for it before is broken; a scenario that fails in another way has caught nothing.
//
// Some faults need no scenario, only load and things that break: Harness plants them in runs of the
// random harness (package chaos), which knows nothing of them.
//
// cmd/plants does both, and writes the tables in docs/reliability.md.
package trials
