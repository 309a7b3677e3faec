//go:build !race

package core

const isRace = false
