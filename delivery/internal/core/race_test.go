//go:build race

package core

// isRace: what makes millions of steps on one goroutine has nothing for the race detector, and takes ten times as long.
const isRace = true
