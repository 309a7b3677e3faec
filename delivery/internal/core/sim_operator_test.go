package core

import (
	"slices"
	"time"
)

// wish is an operator's.
func (w *world) wish() {
	p := w.db.partitions[w.IntN(len(w.db.partitions))]
	rows := p.liveRows()
	if len(rows) == 0 {
		return
	}
	r := p.rows[rows[w.IntN(len(rows))].Position]
	r.wanted = RetryNow
	switch {
	case r.State == Dead && w.IntN(2) == 0:
		r.wanted = Redrive
	case w.IntN(4) == 0:
		r.wanted = Discard
	case r.State == Dead:
		r.wanted = NoWish
	}
	w.say("operator wants %d of %d", r.wanted, r.Position)
}

func (w *world) kill(p *process) {
	if p.dead {
		return
	}
	w.seen.kills++
	w.say("p%d is killed", p.member)
	for _, s := range p.sessions {
		w.end(s)
	}
	p.sessions, p.dead, p.member, p.frozen = nil, true, 0, time.Time{}
	p.b = NewBreaker(w.breaker, w.Float64)
}

// orphansAct lands what the dead have sent.
func (w *world) orphansAct() {
	if n := len(w.orphans); n > 0 {
		i := w.IntN(n)
		f := w.orphans[i]
		w.orphans = slices.Delete(w.orphans, i, i+1)
		w.arrive(f)
	}
	if n := len(w.letters); n > 0 {
		i := w.IntN(n)
		st := w.letters[i]
		w.letters = slices.Delete(w.letters, i, i+1)
		w.execute(st)
	}
}

func (w *world) resize() {
	d := &w.db
	switch {
	case d.merging:
		if w.IntN(2) == 0 { // it is cancelled
			d.merging, d.barrier = false, 0
			for _, p := range d.partitions {
				p.readTo = -1
			}
			w.say("merging is cancelled")
		}
	case len(d.partitions) < 4 && w.IntN(2) == 0:
		w.split()
	case len(d.partitions) > 1:
		d.merging = true
		w.say("merging begins")
		if w.plant == barrierFirst {
			w.merge()
		}
	}
}

func (w *world) split() {
	d := &w.db
	n := len(d.partitions)
	before := d.partitions
	d.partitions = make([]*simPartition, 2*n)
	for i := range d.partitions {
		old := before[i%n]
		cursor := old.cursor
		if w.plant == splitAtRead && i >= n {
			for _, p := range w.processes {
				for _, s := range p.sessions {
					if s.n == i-n && s.epoch == old.epoch {
						cursor = s.p.Read()
					}
				}
			}
		}
		d.partitions[i] = &simPartition{epoch: w.nextEpoch(nil), life: d.life, revision: old.revision, cursor: cursor, readTo: -1, rows: make(map[int64]*simRow)}
	}
	for _, old := range before {
		for i, rows := range deal(old.liveRows(), 2*n) {
			for _, r := range rows {
				d.partitions[i].rows[r.Position] = old.rows[r.Position]
			}
		}
	}
	w.seen.splits++
	w.say("split to %d", 2*n)
}

// deal returns rows by the partition of n that they belong to.
func deal(rows []Row, n int) [][]Row {
	dealt := make([][]Row, n)
	for _, r := range rows {
		i := PartitionOf(r.Key, n)
		dealt[i] = append(dealt[i], r)
	}
	return dealt
}

// merge ends the halving if all are at the barrier.
func (w *world) merge() {
	d := &w.db
	if !d.merging {
		return
	}
	var reads []int64
	for _, p := range d.partitions {
		if p.readTo < 0 && w.plant != barrierFirst {
			return
		}
		reads = append(reads, p.readTo)
	}
	if d.barrier == 0 {
		d.barrier = Barrier(reads)
		w.say("barrier %d", d.barrier)
	}
	for _, p := range d.partitions {
		if p.cursor != d.barrier && w.plant != barrierFirst {
			return
		}
	}
	n := len(d.partitions) / 2
	for i, p := range d.partitions[:n] {
		q := d.partitions[i+n]
		if w.plant == barrierFirst {
			p.cursor = max(p.cursor, q.cursor)
		}
		p.epoch, p.member, p.readTo = w.nextEpoch(nil), 0, -1
		p.revision = max(p.revision, q.revision)
		for at, r := range q.rows {
			p.rows[at] = r
		}
	}
	d.partitions = d.partitions[:n]
	d.merging, d.barrier = false, 0
	w.seen.merges++
	w.say("merged to %d", n)
}

func (w *world) seek() {
	p := w.db.partitions[w.IntN(len(w.db.partitions))]
	if len(w.db.log) == 0 || w.db.merging {
		return
	}
	to := int64(w.IntN(len(w.db.log) + 1))
	w.seen.seeks++
	w.say("seek from %d to %d, epoch %d", p.cursor, to, p.epoch)
	for i, e := range w.db.log {
		if p == w.db.partitions[w.placeOf(e.key)] {
			at := int64(i + 1)
			w.db.skipped[e.uid] = at > p.cursor && at <= to || at <= to && w.db.skipped[e.uid]
			if at > to {
				delete(w.db.effects, e.uid)
				delete(w.db.discarded, e.uid)
				delete(w.db.removed, e.uid)
			}
		}
	}
	for at := range p.rows {
		if at > to {
			delete(p.rows, at)
		}
	}
	p.cursor, p.readTo = to, -1
	if w.plant != seekKeepsEpoch {
		p.epoch, p.member = w.nextEpoch(p), 0
	}
}

func (w *world) saveOrRestore() {
	if w.backup == nil || w.IntN(2) == 0 {
		b := w.db.copy()
		w.backup = &b
		w.say("backup at %d", len(w.db.log))
		return
	}
	life := w.db.life
	w.db = w.backup.copy()
	w.seen.restores++
	w.say("restored at %d", len(w.db.log))
	if w.plant == adoptNothing {
		return
	}
	w.db.life = life + 1
	for _, p := range w.db.partitions {
		p.life, p.epoch, p.member, p.cursor = w.db.life, w.nextEpoch(p), 0, min(p.cursor, int64(len(w.db.log)))
	}
}
