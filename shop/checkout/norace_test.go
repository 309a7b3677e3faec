//go:build !race

package checkout_test

const isRace = false
