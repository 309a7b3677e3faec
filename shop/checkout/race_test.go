//go:build race

package checkout_test

// isRace: TestSomeCrashes shows the race detector what TestCrashes does at more places.
const isRace = true
