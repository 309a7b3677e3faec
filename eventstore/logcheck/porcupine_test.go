package logcheck

import (
	"slices"

	"github.com/anishathalye/porcupine"
)

// Ordered lets porcupine search for the order of each stream, and reports whether there is one for
// all.
func Ordered(h *History, l *Log) bool {
	for name, points := range pointsOf(h, l) {
		c := checker{l: l, stream: -1, h: h}
		if s, ok := l.byName[name]; ok {
			c.stream = s
		}
		var operations []porcupine.Operation
		for _, p := range c.fill(slices.Clone(points)) {
			operations = append(operations, porcupine.Operation{Input: p, Call: p.start, Return: p.end})
		}
		stream := porcupine.Model{
			Init: func() any { return int64(-1) },
			Step: func(version, input, _ any) (bool, any) {
				p := input.(point)
				return p.before == version && c.possible(&p), p.version
			},
		}
		if !porcupine.CheckOperations(stream, operations) {
			return false
		}
	}
	return true
}
