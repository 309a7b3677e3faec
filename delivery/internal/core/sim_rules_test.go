package core

import (
	"fmt"
	"strings"
	"time"
)

// violation is a rule that was broken.
type violation struct {
	rule, what string
	seed       uint64
	trace      []string
}

func (v *violation) Error() string {
	if v == nil {
		return "nothing was broken"
	}
	return fmt.Sprintf("run %d: %s: %s\n%s", v.seed, v.rule, v.what, strings.Join(v.trace, "\n"))
}

// all is how many lines of a trace there are at most.
const all = 1 << 30

// coverage counts what happened in a run.
type coverage struct {
	delivered, dead, blocked, probes, kills, freezes, takeOvers, refused, splits, merges, restores, redefined, seeks, wishes, drains, halts, expired, halves int
}

func (c *coverage) fields() []struct {
	name string
	n    *int
} {
	return []struct {
		name string
		n    *int
	}{{"delivered", &c.delivered}, {"dead", &c.dead}, {"blocked", &c.blocked}, {"probes", &c.probes}, {"kills", &c.kills}, {"freezes", &c.freezes},
		{"take-overs", &c.takeOvers}, {"refused moves", &c.refused}, {"splits", &c.splits}, {"merges", &c.merges}, {"restores", &c.restores},
		{"redefinitions", &c.redefined}, {"seeks", &c.seeks}, {"wishes", &c.wishes}, {"drains", &c.drains}, {"halts", &c.halts}, {"expired leases", &c.expired},
		{"halves of batches", &c.halves}}
}

func (c *coverage) add(o coverage) {
	to, from := c.fields(), o.fields()
	for i := range to {
		*to[i].n += *from[i].n
	}
}

func (c *coverage) String() string {
	var s []string
	for _, f := range c.fields() {
		s = append(s, fmt.Sprintf("%s %d", f.name, *f.n))
	}
	return strings.Join(s, ", ")
}

func (c *coverage) missing() string {
	var s []string
	for _, f := range c.fields() {
		if *f.n == 0 {
			s = append(s, f.name)
		}
	}
	return strings.Join(s, ", ")
}

// settle ends the faults, and waits until all is done.
func (w *world) settle() {
	w.calm, w.mode = true, 0
	w.say("faults have ended")
	for _, p := range w.processes {
		p.dead, p.frozen = false, time.Time{}
	}
	for len(w.orphans)+len(w.letters) > 0 {
		w.orphansAct()
	}
	for round := range 1500 {
		if round%10 == 0 && round < 300 {
			for key := simKeys; key < allKeys; key++ {
				w.appendEvent(key)
			}
		}
		if w.conf.Hold && round%10 == 5 { // nothing else lets go of a key
			for _, p := range w.db.partitions {
				for _, r := range p.rows {
					if r.State == Dead {
						r.wanted = Discard
					}
				}
			}
		}
		did := false
		for _, p := range w.processes {
			w.renew(p)
			w.maintain(p)
			for _, s := range p.sessions {
				if s.over {
					continue
				}
				w.steps += 5
				w.read(s)
				for w.next(s) {
					did = true
				}
				for range s.flights {
					w.fly(s)
					w.respond(s)
					if w.serial {
						w.hear(s)
						w.hear(s)
					}
				}
				w.move(s)
				w.hear(s)
				w.hear(s)
				if w.carryOut(s) {
					did = true
				}
			}
		}
		if round > 20 && w.settled() {
			w.judge()
			return
		}
		w.now = w.now.Add(300 * time.Millisecond)
		if round > 200 {
			w.now = w.now.Add(3 * time.Second) // some wait for their age
		}
		if !did && round%5 == 4 {
			var at time.Time
			for _, p := range w.processes {
				for _, s := range p.sessions {
					if t, ok := s.p.Wake(); ok && !s.over && t.After(w.now) && (at.IsZero() || t.Before(at)) {
						at = t
					}
				}
			}
			if !at.IsZero() {
				w.now = at
				for _, p := range w.processes { // time passes for nobody meanwhile
					p.renewed = w.now
					if m := w.db.member(p.member); m != nil && m.process == p {
						m.expires = w.now.Add(simTTL)
					}
				}
			}
		}
	}
	var what []string
	for n, p := range w.db.partitions {
		what = append(what, fmt.Sprintf("partition %d of %d at %d of %d, merging %v to %d, rows %v", n, p.member, p.cursor, len(w.db.log), w.db.merging, w.db.barrier, positionsOf(p.liveRows())))
	}
	what = append(what, fmt.Sprintf("members %v", w.db.members))
	for _, p := range w.processes {
		for _, s := range p.sessions {
			at, ok := s.p.Wake()
			what = append(what, fmt.Sprintf("%s %+v wakes %v %v breaker %+v", s, s.p.Status(), at.Sub(w.now), ok, p.b.Status()))
		}
	}
	w.violated("everything settles", "%s", strings.Join(what, "\n"))
}

func (w *world) settled() bool {
	if w.db.merging {
		return false
	}
	for _, p := range w.db.partitions {
		if p.cursor != int64(len(w.db.log)) || p.revision != w.db.revision {
			return false
		}
		for _, r := range p.rows {
			if r.wanted != NoWish || r.State != Dead {
				return false
			}
		}
	}
	return true
}

// judge looks at what has become of everything.
func (w *world) judge() {
	newest := make([]int64, allKeys)
	for i, e := range w.db.log {
		at := int64(i + 1)
		p := w.db.partitions[w.placeOf(e.key)]
		if p.rows[at] != nil || !e.matchesAll(w.db.revision) || w.db.skipped[e.uid] || w.db.discarded[e.uid] {
			continue
		}
		if !w.db.delivered[e.uid] {
			w.violated("what is at or below a cursor is delivered, parked or dead", "nothing has become of %d/k%d", at, e.key)
		}
		if !w.redriven[e.uid] {
			newest[e.key] = at
		}
	}
	for key, at := range newest {
		if l := w.last[key]; l.life == w.db.life && l.position < at && l.position > 0 {
			w.violated("the last that a target has of a key is the newest", "k%d ends with %d, %d was before", key, l.position, at)
		}
	}
}
