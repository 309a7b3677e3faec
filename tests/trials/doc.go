// Package trials shows that bugs of the product would be noticed: each mutant of package mutants
// names a scenario, run by the tests of this package, that breaks a rule if the mutant is there,
// and none if it is not.
//
// Some name a test of another package instead, which says in the same way which rule was broken.
//
// The scenarios are tests like any other, and pass. Run builds these tests with a mutant and runs
// its scenario twice, with it and without. The mutant is caught if the rule that it names is
// broken; a scenario that fails in another way has caught nothing.
//
// Some mutants need no scenario, only load and things that break: RunRandomly puts them into runs
// of the random harness (package chaos), which knows nothing of them.
//
// cmd/mutants does both, and writes the tables in docs/reliability.md.
package trials
