package sagas

import (
	"fmt"
	"strconv"
)

// ways are parts of a definition that are gone side by side.
type ways struct {
	// count is how many there are, atOnce how many are under way at once, enough how many must be finished.
	count, atOnce, enough int
	// drops: when enough are finished nobody waits for the others.
	drops bool
	walk  func(i int) (progress, string)
	part  func(i int) part
}

func (p *parallel) walk(w *walker) (progress, string) {
	return w.walkWays(ways{
		count: len(p.ways), atOnce: len(p.ways), enough: p.enough, drops: true,
		walk: func(i int) (progress, string) { return p.ways[i].walk(w) },
		part: func(i int) part { return w.partOf(p.ways[i]) },
	})
}

func (m *items) walk(w *walker) (progress, string) {
	n, p, cause := w.decided(m.name+w.suffix, func() (int, error) {
		n, err := m.count(w.i.Data)
		if err == nil && n > 0 && w.i.Events+int64(n)*m.body(0).events() > MaxEvents {
			err = Fatal(CodeTooLong, fmt.Errorf("it has %d events, and with %d items it would have more than an instance may, %d", w.i.Events, n, MaxEvents))
		}
		return n, err
	})
	if p != finished {
		return p, cause
	}
	atOnce := m.atOnce
	if atOnce <= 0 {
		atOnce = n
	}
	suffix := w.suffix
	inside := func(i int, do func(sequence)) {
		w.suffix = suffix + "[" + strconv.Itoa(i) + "]"
		steps, ok := w.bodies[body{m, i}]
		if !ok {
			steps = m.body(i)
			w.bodies[body{m, i}] = steps
		}
		do(steps)
		w.suffix = suffix
	}
	return w.walkWays(ways{
		count: n, atOnce: atOnce, enough: n - m.tolerated,
		walk: func(i int) (p progress, cause string) {
			inside(i, func(steps sequence) { p, cause = steps.walk(w) })
			return p, cause
		},
		part: func(i int) (of part) {
			inside(i, func(steps sequence) { of = w.partOf(steps) })
			return of
		},
	})
}

// events is how many there are of steps that follow one another: each begins and ends. What is inside of ways is not counted.
func (s sequence) events() (n int64) {
	for _, one := range s {
		n++
		if _, isStep := one.(*task); isStep {
			n++
		}
	}
	return n
}

// walkWays goes on with ways, until enough of them are finished, or cannot be any more. Of ways that have failed the first one is the cause.
func (w *walker) walkWays(all ways) (progress, string) {
	for {
		now := w.look(all)
		isEnough := now.done >= all.enough && (all.drops || now.done+now.failed == all.count)
		for i, is := range now.ways {
			switch {
			case is == finished && w.mode != looks, !isEnough && w.mode == undoes:
				all.walk(i) // inside there may be ways of which enough are finished, too
			case isEnough && w.mode == begins:
				w.letGo(all.part(i), true)
			case isEnough && w.mode == undoes:
				w.undo(all.part(i), false)
			}
		}
		switch {
		case isEnough:
			return finished, ""
		case now.failed > all.count-all.enough:
			open := false
			for i := range all.count {
				open = w.letGo(all.part(i), false) || open
			}
			if open {
				return pending, ""
			}
			return broken, now.cause
		case now.left != "":
			return left, now.left
		case w.mode != begins || !w.advance(all):
			return pending, ""
		}
	}
}

// standing is how far ways have come.
type standing struct {
	ways         []progress
	done, failed int
	// cause is the step that failed first, left one that nobody waits for.
	cause, left string
}

func (w *walker) look(all ways) standing {
	defer func(m mode) { w.mode = m }(w.mode)
	w.mode = looks
	s := standing{ways: make([]progress, all.count)}
	var first int64
	for i := range s.ways {
		is, cause := all.walk(i)
		switch s.ways[i] = is; is {
		case finished:
			s.done++
		case left:
			s.left = cause
		case broken:
			s.failed++
			if at, _ := w.step(cause); s.cause == "" || at.Ended < first {
				s.cause, first = cause, at.Ended
			}
		}
	}
	return s
}

// advance goes on with the ways, and reports whether one of them has come to its end: that may be enough, or let another one begin.
func (w *walker) advance(all ways) bool {
	under := 0
	for i := 0; i < all.count && under < all.atOnce; i++ {
		before := len(w.out)
		if p, _ := all.walk(i); p == pending {
			under++
		} else if len(w.out) > before {
			return true
		}
	}
	return false
}
