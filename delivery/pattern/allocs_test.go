//go:build !race

package pattern_test

import "testing"

// With the race detector a sync.Pool loses some of what it has.
func TestMatchAllocatesNothing(t *testing.T) {
	for _, c := range cases {
		m := matcherOf(t, min(c.n, 1000), c.text)
		ids := m.Match(c.event, make([]int, 0, c.n))
		if n := testing.AllocsPerRun(100, func() { ids = m.Match(c.event, ids[:0]) }); n != 0 {
			t.Errorf("%s: Match allocates %v times, want never", c.name, n)
		}
	}
}
