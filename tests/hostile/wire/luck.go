package wire

import (
	"fmt"
	"math/rand/v2"
)

// Luck is what a client does by chance, with what it can choose from.
type Luck struct {
	Rng *rand.Rand
	// Name begins all ids that the client makes up.
	Name string
	// Operations are the paths of what was accepted to be done later.
	Operations []string
	made       int
	// cursors are of several lists.
	cursors []string
}

// NewRand returns what decides all: the same for the same numbers.
func NewRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// Chance is true once in n times.
func (l *Luck) Chance(n int) bool { return l.Rng.IntN(n) == 0 }

// Number returns a number that was never used.
func (l *Luck) Number() int {
	l.made++
	return l.made
}

// ID returns an id that was never used. The order of ids is that of their
// numbers.
func (l *Luck) ID() string { return fmt.Sprintf("%s.%06d", l.Name, l.Number()) }

// Remember keeps a cursor, to be used where it does not belong.
func (l *Luck) Remember(cursor string) {
	if len(l.cursors) == 10 {
		l.cursors = l.cursors[1:]
	}
	l.cursors = append(l.cursors, cursor)
}

// Pick returns one of a list, which must not be empty.
func Pick[T any](l *Luck, list []T) T { return list[l.Rng.IntN(len(list))] }
