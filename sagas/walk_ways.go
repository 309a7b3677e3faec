package sagas

import "strconv"

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
	n, p, cause := w.decided(m.name+w.suffix, func() (int, error) { return m.count(w.i.Data) })
	if p != finished {
		return p, cause
	}
	atOnce := m.atOnce
	if atOnce <= 0 {
		atOnce = n
	}
	suffix := w.suffix
	inside := func(i int, do func(body sequence)) {
		w.suffix = suffix + "[" + strconv.Itoa(i) + "]"
		do(m.body(i))
		w.suffix = suffix
	}
	return w.walkWays(ways{
		count: n, atOnce: atOnce, enough: n - m.tolerated,
		walk: func(i int) (p progress, cause string) {
			inside(i, func(body sequence) { p, cause = body.walk(w) })
			return p, cause
		},
		part: func(i int) (of part) {
			inside(i, func(body sequence) { of = w.partOf(body) })
			return of
		},
	})
}

// walkWays goes on with ways, until enough of them are finished, or cannot be any more. Of ways that have failed the first one is the cause.
func (w *walker) walkWays(all ways) (progress, string) {
	for {
		done, failed, leaving, cause := w.look(all)
		switch {
		case done >= all.enough && (all.drops || done+failed == all.count):
			if !w.dry {
				w.leave(all)
			}
			return finished, ""
		case failed > all.count-all.enough:
			open := false
			for i := range all.count {
				open = w.letGo(all.part(i), false) || open
			}
			if open {
				return pending, ""
			}
			return broken, cause
		case leaving != "":
			return left, leaving
		case w.dry || !w.advance(all):
			return pending, ""
		}
	}
}

// look returns how many ways are finished and how many have failed, a step that is left, and the step that failed first.
func (w *walker) look(all ways) (done, failed int, leaving, cause string) {
	dry := w.dry
	w.dry = true
	defer func() { w.dry = dry }()
	var first int64
	for i := range all.count {
		switch p, step := all.walk(i); p {
		case finished:
			done++
		case left:
			leaving = step
		case broken:
			failed++
			if s, _ := w.i.Step(step); cause == "" || s.Ended < first {
				cause, first = step, s.Ended
			}
		}
	}
	return done, failed, leaving, cause
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

// leave ends ways of which enough are finished: what is open of the others is awaited no more, what is done is undone.
func (w *walker) leave(all ways) {
	for i := range all.count {
		w.dry = true
		p, _ := all.walk(i)
		w.dry = false
		if p == finished {
			all.walk(i) // it may have left ways of its own, with something to undo
			continue
		}
		of := all.part(i)
		w.letGo(of, true)
		w.undo(of, false)
	}
}
