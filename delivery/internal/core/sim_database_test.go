package core

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// simRow is a row with what an operator wants of it.
type simRow struct {
	Row
	wanted Wish
}

type simPartition struct {
	member       int64
	epoch, life  int64
	revision     int
	cursor       int64
	readTo       int64 // while they are merged; -1: its owner has not stopped reading
	rows         map[int64]*simRow
	previousRows []Row // as they were before the last statement, for rowsTooEarly
	lastCursor   int64
}

func (p *simPartition) liveRows() []Row {
	rows := make([]Row, 0, len(p.rows))
	for _, r := range p.rows {
		rows = append(rows, r.Row)
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Position, b.Position) })
	return rows
}

// simMember is a lease. An id is given again after a restore, so it says of whom it is.
type simMember struct {
	id      int64
	process *process
	expires time.Time
}

// database is what a crash of everybody leaves.
type database struct {
	log                []simEvent
	life               int64
	epochs, ids        int64
	revision           int
	partitions         []*simPartition
	members            []simMember
	merging            bool
	barrier            int64
	effects            map[int]int  // of Serial handlers, by uid
	delivered          map[int]bool // by uid: nobody forgets it but a restore
	discarded, skipped map[int]bool
	removed            map[int]bool // those whose rows were
}

func (d *database) copy() database {
	c := *d
	c.log, c.members = slices.Clone(d.log), slices.Clone(d.members)
	c.partitions = nil
	for _, p := range d.partitions {
		q := *p
		q.rows = make(map[int64]*simRow, len(p.rows))
		for at, r := range p.rows {
			row := *r
			q.rows[at] = &row
		}
		c.partitions = append(c.partitions, &q)
	}
	copyOf := func(m map[int]bool) map[int]bool {
		n := make(map[int]bool, len(m))
		for k, v := range m {
			n[k] = v
		}
		return n
	}
	c.delivered, c.discarded, c.skipped, c.removed = copyOf(d.delivered), copyOf(d.discarded), copyOf(d.skipped), copyOf(d.removed)
	c.effects = make(map[int]int, len(d.effects))
	for k, v := range d.effects {
		c.effects[k] = v
	}
	return c
}

func (d *database) member(id int64) *simMember {
	for i := range d.members {
		if d.members[i].id == id {
			return &d.members[i]
		}
	}
	return nil
}

// statement is a move on its way to the database.
type statement struct {
	s        *session
	move     Move
	effects  []AttemptItem
	uids     []int
	executed bool
	ok       bool
}

type landing struct {
	life, epoch, position int64
}

// arrive is when an attempt comes to the target.
func (w *world) arrive(f *flight) {
	f.arrived = true
	results := make([]Result, len(f.items))
	failedKey := make([]bool, allKeys)
	bad := -1
	for i := range f.items {
		if results[i] = w.verdict(f.s, &f.items[i], f.uids[i]); results[i].Outcome != Done && bad < 0 {
			bad = i
		}
	}
	if w.whole && len(results) > 1 {
		results = results[max(bad, 0):][:1] // all or nothing
	}
	for i := range f.items {
		it, r := &f.items[i], &results[min(i, len(results)-1)]
		// A handler does not go on with a key that failed, though it may say that it did.
		key := w.keyOf(it.Key)
		if failedKey[key] = failedKey[key] || r.Outcome != Done; failedKey[key] || w.serial {
			continue
		}
		w.take(f.s, it, f.uids[i])
		if len(results) == len(f.items) && !w.calm && w.IntN(30) == 0 {
			*r = Result{Outcome: Transient, Error: "the answer was lost"}
			failedKey[key] = true
		}
	}
	f.results = results
	w.say("%s arrives: %v", f, results)
}

func (w *world) verdict(s *session, it *AttemptItem, uid int) Result {
	key := w.keyOf(it.Key)
	e, ok := w.find(uid)
	if fence := w.fence[key]; s.life < fence.life || s.life == fence.life && s.epoch < fence.epoch {
		return Result{Outcome: Transient, Error: "an old owner"}
	}
	w.tried[uid]++
	if w.calm && key >= simKeys {
		return Result{}
	}
	mode := w.mode
	if mode == 4 && key%2 == 0 { // only some keys
		mode = 1
	}
	switch {
	case mode == 1:
		return Result{Outcome: Transient, Error: "down"}
	case mode == 2:
		return Result{Outcome: Permanent, Error: "401"}
	case mode == 3 && w.IntN(2) == 0:
		return Result{Outcome: Transient, Error: "flaky"}
	case mode == 5 && w.IntN(3) == 0:
		return Result{Outcome: Throttled, After: time.Duration(w.IntN(3000)) * time.Millisecond}
	case mode == 5 && w.IntN(6) == 0:
		return Result{Outcome: Postponed, After: time.Duration(w.IntN(3000)) * time.Millisecond}
	case !ok:
		return Result{}
	case e.poison == failsOnce && w.tried[uid] == 1, e.poison == failsAlways && (!w.calm || it.Position%2 == 0):
		return Result{Outcome: Transient, Error: "poison"}
	case e.poison == failsForGood:
		return Result{Outcome: Permanent, Error: "poison"}
	case e.poison == undecodableHere && w.tried[uid] < 3:
		return Result{Outcome: Undecodable}
	case !w.calm && w.IntN(500) == 0:
		return Result{Outcome: []Outcome{Gone, Stop, Unsendable}[w.IntN(3)]}
	}
	return Result{}
}

func (w *world) find(uid int) (simEvent, bool) {
	i, ok := slices.BinarySearchFunc(w.db.log, uid, func(e simEvent, uid int) int { return cmp.Compare(e.uid, uid) })
	if !ok {
		return simEvent{}, false
	}
	return w.db.log[i], true
}

// take is when the target takes an event.
func (w *world) take(s *session, it *AttemptItem, uid int) {
	key := w.keyOf(it.Key)
	w.fence[key] = landing{life: s.life, epoch: s.epoch}
	w.db.delivered[uid] = true
	w.seen.delivered++
	if it.Redrive {
		w.redriven[uid] = true
		return
	}
	if l := w.last[key]; l.life == s.life && l.epoch == s.epoch && it.Position < l.position {
		w.violated("events of a key come in order", "%d/%s comes after %d from the same owner", it.Position, it.Key, l.position)
	}
	w.last[key] = landing{s.life, s.epoch, it.Position}
}

// execute is when a move comes to the database.
func (w *world) execute(st *statement) {
	st.executed = true
	s, m := st.s, st.move
	if s.n >= len(w.db.partitions) {
		w.seen.refused++
		return
	}
	p := w.db.partitions[s.n]
	if p.epoch != s.epoch && w.plant != epochUnguarded || (p.life != s.life || w.db.life != s.life) && w.plant != lifeUnguarded || p.cursor > m.To {
		w.seen.refused++
		w.say("the move of %s is refused", s)
		return
	}
	st.ok = true
	w.say("%s moves %d to %d, put %v, remove %v", s, m.From, m.To, positionsOf(m.Put), m.Remove)
	if w.serial {
		for i := range st.effects {
			w.effect(s, &st.effects[i], st.uids[i])
		}
	}
	p.previousRows, p.lastCursor = p.liveRows(), p.cursor
	from := p.cursor
	p.cursor = m.To
	for _, r := range m.Put {
		if r.Position > m.To {
			w.violated("nothing above a cursor has a row", "%d is written with a move to %d", r.Position, m.To)
		}
		row := p.rows[r.Position]
		if row == nil {
			if w.db.removed[w.at(r.Position).uid] {
				w.violated("what is done does not begin again", "the row of %d comes back", r.Position)
			}
			row = new(simRow)
			p.rows[r.Position] = row
		}
		row.Row = r
		row.Answered = NoWish
		if row.wanted == r.Answered {
			row.wanted = NoWish
		}
		switch r.State {
		case Dead:
			w.seen.dead++
		case Blocked:
			w.seen.blocked++
		}
	}
	for _, at := range m.Remove {
		if p.rows[at] == nil {
			continue
		}
		if e := w.at(at); !w.db.delivered[e.uid] && !w.db.discarded[e.uid] {
			w.violated("what is at or below a cursor is delivered, parked or dead", "the row of %d is removed", at)
		}
		w.db.removed[w.at(at).uid] = true
		delete(p.rows, at)
	}
	for at := from + 1; at <= min(m.To, int64(len(w.db.log))); at++ {
		e := w.at(at)
		if w.placeOf(e.key) == s.n && e.matches(s.revision) && !w.db.delivered[e.uid] && !w.db.discarded[e.uid] && p.rows[at] == nil {
			w.violated("what is at or below a cursor is delivered, parked or dead", "%s passes %d/k%d", s, at, e.key)
		}
	}
	if m.To > int64(len(w.db.log)) {
		w.violated("a cursor is in the log", "%s moves to %d of %d", s, m.To, len(w.db.log))
	}
}

// effect is that of a handler whose transaction moves the cursor.
func (w *world) effect(s *session, it *AttemptItem, uid int) {
	if w.db.effects[uid]++; w.db.effects[uid] > 1 {
		w.violated("an effect in the transaction of the cursor is there once", "%d/%s by %s", it.Position, it.Key, s)
	}
	w.take(s, it, uid)
}

func positionsOf(rows []Row) (s []string) {
	for _, r := range rows {
		s = append(s, fmt.Sprintf("%d %s", r.Position, r.State))
	}
	return s
}

// fenced reports whether the epoch of a session is not that of its partition any more.
func (w *world) fenced(s *session) bool {
	q := w.db.partitions[s.n]
	return q.epoch != s.epoch || q.life != s.life || w.db.life != s.life
}

// nothingFlies looks at a session that is drained: what is in flight would be repeated.
func (w *world) nothingFlies(s *session) {
	for _, f := range s.flights {
		if !f.a.stuck && w.plant != redefineAtOnce {
			w.violated("a handover repeats nothing", "%s is in flight", f)
		}
	}
}
