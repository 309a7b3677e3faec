package core

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// process is one that delivers.
type process struct {
	member   int64 // 0: it has none
	renewed  time.Time
	frozen   time.Time // until then
	dead     bool
	b        *Breaker
	sessions []*session
}

// session is a partition in the hands of a process.
type session struct {
	process     *process
	n           int
	epoch, life int64
	revision    int
	p           *Partition
	flights     []*flight
	statement   *statement
	leaves      bool     // it drains to be given back
	wishes      []wishes // that were read
	over        bool
	began       int64 // cursor
	// owed are what each key has to get done, in order: an event begins only if nothing before it is owed.
	owed [][]int64
}

// wishes are what operators want of rows, as they were when so many moves had been made.
type wishes struct {
	rows []simRow
	asOf uint64
}

type flight struct {
	s       *session
	p       *Partition
	a       *Attempt
	kind    Kind
	items   []AttemptItem
	uids    []int
	arrived bool
	results []Result
}

func (s *session) String() string {
	return fmt.Sprintf("p%d's partition %d (epoch %d)", s.process.member, s.n, s.epoch)
}

func (f *flight) String() string {
	var at []int64
	for _, it := range f.items {
		at = append(at, it.Position)
	}
	return fmt.Sprintf("%s of %v of %s", f.kind, at, f.s)
}

// act lets a process do something.
func (w *world) act(p *process) {
	if p.dead {
		p.dead = w.IntN(10) > 0
		return
	}
	if w.now.Before(p.frozen) {
		return
	}
	if !w.renew(p) {
		return
	}
	w.maintain(p)
	if len(p.sessions) == 0 {
		return
	}
	s := p.sessions[w.IntN(len(p.sessions))]
	if s.over {
		return
	}
	switch r := w.IntN(100); {
	case r < 20:
		w.read(s)
	case r < 45:
		w.next(s)
	case r < 60:
		w.fly(s)
	case r < 75:
		w.respond(s)
	case r < 85:
		w.move(s)
	case r < 97:
		w.hear(s)
	default:
		w.carryOut(s)
	}
}

// renew keeps the lease of a process, or begins one. What it does first after it was frozen may come before.
func (w *world) renew(p *process) bool {
	if p.member != 0 && (w.now.Sub(p.renewed) < time.Second || !w.calm && w.IntN(4) == 0) {
		return true
	}
	m := w.db.member(p.member)
	if m != nil && m.process == p && m.expires.After(w.now) {
		m.expires = w.now.Add(simTTL)
		p.renewed = w.now
		return true
	}
	if p.member != 0 {
		w.seen.expired++
		w.say("p%d has lost its lease", p.member)
		w.db.members = slices.DeleteFunc(w.db.members, func(m simMember) bool { return m.process == p })
		for _, s := range p.sessions {
			w.end(s)
		}
		p.sessions, p.member = nil, 0
	}
	w.db.ids++
	p.member, p.renewed = w.db.ids, w.now
	w.db.members = append(w.db.members, simMember{p.member, p, w.now.Add(simTTL)})
	w.say("p%d joins", p.member)
	return true
}

// maintain takes what is its own, and gives back what is not.
func (w *world) maintain(p *process) {
	members := make([]Member, 0, len(w.db.members))
	for _, m := range w.db.members {
		if m.expires.After(w.now) {
			members = append(members, Member{ID: m.id, CanRun: []string{"x"}})
		}
	}
	for i := 0; i < len(p.sessions); i++ {
		s := p.sessions[i]
		if s.over {
			p.sessions = slices.Delete(p.sessions, i, i+1)
			i--
			continue
		}
		owner, _ := Assign(members, "x", 1, s.n)
		if s.n < len(w.db.partitions) && (w.calm || w.IntN(100) == 0) && w.fenced(s) { // one looks every ten seconds
			w.end(s)
			continue
		}
		switch {
		case s.p.Halted() != nil:
			w.seen.halts++
			w.giveBack(s)
		case s.n >= len(w.db.partitions):
			if w.IntN(10) == 0 || w.calm {
				w.end(s)
			}
		case s.leaves:
			if s.p.Drained() && s.statement == nil && s.p.Pending() == 0 {
				w.nothingFlies(s)
				w.giveBack(s)
			}
		case owner != p.member && w.IntN(5) == 0:
			s.leaves = true
			s.p.Drain()
			w.seen.drains++
			w.say("%s drains", s)
		case w.db.partitions[s.n].revision < w.db.revision && (!w.db.merging || s.p.draining):
			s.redefine(w)
		}
	}
	for n, q := range w.db.partitions {
		owner, _ := Assign(members, "x", 1, n)
		has := slices.ContainsFunc(p.sessions, func(s *session) bool { return s.n == n && !s.over })
		if q.member == p.member && !has { // it lost it in memory only: nobody else would take it
			q.member = 0
		}
		if owner != p.member || has {
			continue
		}
		if m := w.db.member(q.member); q.member == 0 || q.member == p.member || m == nil || !m.expires.After(w.now) {
			w.takePartition(p, n)
		}
	}
}

// redefine drains a partition, and goes on with the new revision.
func (s *session) redefine(w *world) {
	if w.plant != redefineAtOnce {
		s.p.Drain()
		if !s.p.Drained() || s.statement != nil || s.p.Pending() > 0 || s.p.frontier() != s.p.Cursor() {
			return
		}
	}
	w.nothingFlies(s)
	if len(s.flights) > 0 && w.plant != redefineAtOnce { // stuck: a new epoch tells it from what comes
		w.giveBack(s)
		return
	}
	q := w.db.partitions[s.n]
	if w.fenced(s) || q.cursor != s.p.Cursor() {
		return // it will notice
	}
	q.revision = w.db.revision
	next := w.session(s.process, s.n, q.liveRows())
	if w.plant == redefineAtOnce {
		next.flights, s.flights = s.flights, nil
		for _, f := range next.flights {
			f.s = next
		}
	}
	s.over = true
	s.process.sessions = append(s.process.sessions, next)
	w.say("%s goes on with revision %d", next, next.revision)
}

// giveBack frees the partition of a session if it has it.
func (w *world) giveBack(s *session) {
	w.say("%s is given back", s)
	if s.n < len(w.db.partitions) {
		if q := w.db.partitions[s.n]; q.epoch == s.epoch && q.life == s.life {
			q.member = 0
		}
	}
	w.end(s)
}

func (w *world) takePartition(p *process, n int) {
	q := w.db.partitions[n]
	rows := q.liveRows()
	if w.plant == rowsTooEarly && q.lastCursor == q.cursor && q.previousRows != nil {
		rows = q.previousRows
	}
	if q.member != 0 && q.member != p.member {
		w.seen.takeOvers++
	}
	q.member, q.epoch = p.member, w.nextEpoch(q)
	p.sessions = append(p.sessions, w.session(p, n, rows))
	w.say("p%d takes partition %d at %d, epoch %d, rows %v", p.member, n, q.cursor, q.epoch, positionsOf(rows))
}

func (w *world) session(p *process, n int, rows []Row) *session {
	q := w.db.partitions[n]
	s := &session{process: p, n: n, epoch: q.epoch, life: w.db.life, revision: q.revision, p: NewPartition(w.conf, p.b, q.cursor, rows),
		began: q.cursor, owed: make([][]int64, allKeys)}
	for _, r := range rows {
		if r.State != Dead || w.conf.Hold {
			key := w.keyOf(r.Key)
			s.owed[key] = append(s.owed[key], r.Position)
		}
	}
	return s
}

// read offers a page.
func (w *world) read(s *session) {
	if w.db.life != s.life && w.plant != adoptNothing && w.plant != lifeUnguarded { // a connection is used after its identity check
		w.end(s)
		return
	}
	s.p.Trim()
	from := s.p.Read() + 1
	if w.IntN(3) == 0 { // a page that others asked for
		from = max(1, s.p.Cursor()-int64(w.IntN(3)))
	}
	to := min(from+int64(w.IntN(20)), int64(len(w.db.log)))
	if s.n < len(w.db.partitions) && w.db.merging {
		q := w.db.partitions[s.n]
		switch {
		case w.db.barrier > 0:
			s.p.ReadTo(w.db.barrier)
		case q.readTo < 0 && q.epoch == s.epoch && q.life == s.life:
			q.readTo = s.p.Read()
			s.p.ReadTo(q.readTo)
		case q.readTo >= 0:
			s.p.ReadTo(q.readTo)
		}
		w.merge()
	} else {
		s.p.ReadTo(1 << 62)
	}
	was := s.p.Read()
	if from > was+1 || to < from {
		return
	}
	var items []Item
	for at := from; at <= to; at++ {
		if e := w.at(at); w.placeOf(e.key) == s.n && e.matches(s.revision) {
			items = append(items, Item{Position: at, Key: w.names[e.key], Size: 1})
		}
	}
	s.p.Offer(items, to)
	for _, it := range items {
		if it.Position > was && it.Position <= s.p.Read() {
			key := w.keyOf(it.Key)
			s.owed[key] = append(s.owed[key], it.Position)
		}
	}
	if used := s.p.used(); used > w.conf.Window {
		w.violated("a window is bounded", "%d of %d", used, w.conf.Window)
	}
	bytes := 0
	for i := s.p.window.head; i < s.p.window.tail; i++ {
		if s.p.window.at(i).state == fresh {
			bytes++
		}
	}
	if bytes != s.p.bytes || w.conf.WindowBytes > 0 && bytes > w.conf.WindowBytes {
		w.violated("a window is bounded", "%d bytes of %d, it counts %d", bytes, w.conf.WindowBytes, s.p.bytes)
	}
}

func (w *world) next(s *session) bool {
	if w.now.After(s.process.renewed.Add(simTTL - time.Second)) {
		return false // by its own clock
	}
	a, ok := s.p.Next(w.now)
	if !ok {
		return false
	}
	f := &flight{s: s, p: s.p, a: a, kind: a.Kind, items: slices.Clone(a.Items)}
	if !slices.IsSortedFunc(f.items, func(a, b AttemptItem) int { return cmp.Compare(a.Position, b.Position) }) {
		w.violated("a batch is in order", "%v", positions(f.items))
	}
	for _, it := range f.items {
		f.uids = append(f.uids, w.uidOf(s, it.Position))
		key := w.keyOf(it.Key)
		for _, other := range s.flights {
			if slices.ContainsFunc(other.items, func(o AttemptItem) bool { return o.Key == it.Key }) {
				w.violated("a key is in one attempt at a time", "%d/%s begins while %s", it.Position, it.Key, other)
			}
		}
		for _, owed := range s.owed[key] {
			if owed < it.Position && !slices.ContainsFunc(f.items, func(o AttemptItem) bool { return o.Position == owed }) {
				w.violated("an event waits for those of its key before it", "%d/%s begins before %d", it.Position, it.Key, owed)
			}
		}
		if !slices.Contains(s.owed[key], it.Position) {
			w.violated("what is done does not begin again", "%d/%s", it.Position, it.Key)
		}
	}
	if len(s.flights) >= w.conf.MaxInFlight || w.conf.Serial && len(s.flights) > 0 {
		w.violated("attempts are bounded", "%d are in flight", len(s.flights)+1)
	}
	if a.Kind == Probe {
		w.seen.probes++
	}
	if a.split != nil {
		w.seen.halves++
	}
	s.flights = append(s.flights, f)
	w.say("%s begins", f)
	return true
}

// uidOf returns the event that a session has read at a position, which another life may have another for.
func (w *world) uidOf(s *session, position int64) int {
	if s.life != w.db.life || position > int64(len(w.db.log)) {
		return -int(position)
	}
	return w.at(position).uid
}

func (w *world) fly(s *session) {
	for _, f := range s.flights {
		if !f.arrived && (w.calm || w.IntN(3) > 0) {
			w.arrive(f)
			return
		}
		if !w.calm && w.IntN(20) == 0 {
			s.p.Stuck(f.a)
		}
	}
}

// respond is when a process learns what the target said.
func (w *world) respond(s *session) {
	i := slices.IndexFunc(s.flights, func(f *flight) bool { return f.arrived })
	if i < 0 || w.serial && s.statement != nil {
		return
	}
	f := s.flights[i]
	s.flights = slices.Delete(s.flights, i, i+1)
	wasRow := s.p.rows[f.items[0].Position] != nil
	f.p.Ended(w.now, f.a, f.results)
	if ev := s.p.rows[f.items[0].Position]; f.kind == Probe && f.results[0].Outcome != Postponed && ev != nil && ev.state == parked && !wasRow && !s.p.draining {
		w.violated("a probe that fails changes nothing", "%s has a row", f)
	}
	var st statement
	failed := make([]bool, allKeys)
	for i, it := range f.items {
		key := w.keyOf(it.Key)
		r := f.results[min(i, len(f.results)-1)]
		ev := s.p.rows[it.Position]
		if ev != nil && ev.state == dead && len(f.results) < len(f.items) {
			w.violated("an event dies of an attempt of its own", "%d/%s dies of %s", it.Position, it.Key, f)
		}
		died := ev != nil && ev.state == dead && !w.conf.Hold
		discarded := ev == nil && w.db.discarded[f.uids[i]]
		if failed[key] = failed[key] || r.Outcome != Done; !failed[key] {
			st.effects, st.uids = append(st.effects, it), append(st.uids, f.uids[i])
		}
		if !failed[key] || died || discarded {
			s.owed[key] = slices.DeleteFunc(s.owed[key], func(at int64) bool { return at == it.Position })
		}
	}
	w.say("%s ended, rows %d", f, s.p.parked)
	if !w.serial || len(st.effects) == 0 {
		return
	}
	m, ok := s.p.Move()
	if !ok && w.plant == twoAtOnce {
		for i := range st.effects {
			w.effect(s, &st.effects[i], st.uids[i])
		}
		return
	}
	if !ok && !s.p.lost {
		w.violated("an effect in the transaction of the cursor is there once", "%s has no move for %v", s, positions(st.effects))
	}
	if ok {
		st.s, st.move = s, m
		w.send(&st)
		if w.plant == lateEffects {
			for i := range st.effects {
				w.effect(s, &st.effects[i], st.uids[i])
			}
			st.effects = nil
		}
	}
}

func positions(items []AttemptItem) (at []int64) {
	for _, it := range items {
		at = append(at, it.Position)
	}
	return at
}

func (w *world) move(s *session) {
	if s.statement != nil {
		return
	}
	if m, ok := s.p.Move(); ok {
		w.send(&statement{s: s, move: m})
	}
}

// send lets a statement be on its way, while which somebody may read what it changes.
func (w *world) send(st *statement) {
	st.s.statement = st
	if w.IntN(2) == 0 {
		w.readWishes(st.s)
	}
}

// hear lets a statement execute, or its answer come, or get lost.
func (w *world) hear(s *session) {
	st := s.statement
	switch {
	case st == nil:
	case !st.executed:
		w.execute(st)
	default:
		s.statement = nil
		if !w.calm && w.IntN(40) == 0 { // the connection is lost
			s.p.Moved(st.move, false)
			w.giveBack(s)
			return
		}
		s.p.Moved(st.move, st.ok)
		if !st.ok {
			w.say("%s is lost", s)
			w.end(s)
		}
	}
}

// carryOut reads what operators want, or carries it out.
func (w *world) carryOut(s *session) bool {
	if len(s.wishes) == 0 || len(s.wishes) < 3 && w.IntN(2) == 0 {
		return w.readWishes(s)
	}
	i := w.IntN(len(s.wishes))
	read := s.wishes[i]
	s.wishes = slices.Delete(s.wishes, i, i+1)
	for _, r := range read.rows {
		asOf := read.asOf
		if w.plant == staleWishes && !s.p.moving {
			asOf = s.p.Moves()
		}
		ev := s.p.rows[r.Position]
		flying := ev != nil && ev.flying
		if !s.p.Want(w.now, asOf, r.Row, r.wanted) || s.p.stopped() || s.p.draining {
			continue
		}
		w.seen.wishes++
		w.say("%s carries out %d of %d", s, r.wanted, r.Position)
		key := w.keyOf(r.Key)
		is := s.p.rows[r.Position]
		switch {
		case r.wanted == Discard:
			w.db.discarded[w.uidOf(s, r.Position)] = true
			if !flying {
				s.owed[key] = slices.DeleteFunc(s.owed[key], func(at int64) bool { return at == r.Position })
			}
		case is != nil && is.state != dead && w.db.removed[w.uidOf(s, r.Position)]:
			w.violated("what is done does not begin again", "%d/%s is revived", r.Position, r.Key)
		case is != nil && is.state != dead && !slices.Contains(s.owed[key], r.Position):
			s.owed[key] = append(s.owed[key], r.Position)
		}
	}
	return true
}

// readWishes reads what operators want of rows, and reports whether there is anything.
func (w *world) readWishes(s *session) bool {
	if s.n >= len(w.db.partitions) || w.db.life != s.life {
		return false
	}
	asOf := s.p.AsOf()
	if w.plant == wishesTooSoon {
		asOf = s.p.Moves()
	}
	q, read := w.db.partitions[s.n], wishes{asOf: asOf}
	for _, r := range q.liveRows() {
		if q.rows[r.Position].wanted != NoWish {
			read.rows = append(read.rows, *q.rows[r.Position])
		}
	}
	if len(read.rows) > 0 {
		s.wishes = append(s.wishes, read)
	}
	return len(read.rows) > 0
}
