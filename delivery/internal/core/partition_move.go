package core

import (
	"cmp"
	"math"
	"slices"
)

// Pending returns how much there is for a move to tell but that the cursor has moved over events that do not
// match: 0 says that it can wait.
func (p *Partition) Pending() int {
	return int(p.matched-p.moved.matched) + len(p.dirty) + len(p.removed)
}

// Move returns what the database is to be told, and false if that is nothing or it is being told. Moved must
// follow it. A Serial partition has moves between attempts only: after Ended, the transaction of the handler
// makes the move, commits, and then comes Moved.
func (p *Partition) Move() (Move, bool) {
	to := p.frontier()
	if p.moving || p.lost || p.c.Serial && len(p.flights) > 0 || to == p.cursor && len(p.dirty) == 0 && len(p.removed) == 0 {
		return Move{}, false
	}
	m := Move{From: p.cursor, To: to, Matched: p.matched - p.moved.matched, Delivered: p.delivered - p.moved.delivered}
	for _, ev := range p.dirty {
		ev.dirty = false
		if ev.state == gone {
			p.recycle(ev)
			continue
		}
		ev.written = true
		row := ev.row()
		row.New = ev.fell
		m.Put = append(m.Put, row)
		ev.answered, ev.fell = NoWish, false
		if ev.state == dead {
			p.sent = append(p.sent, ev)
		}
	}
	m.Remove = p.removed
	p.dirty, p.removed = p.dirty[:0], nil
	slices.SortFunc(m.Put, func(a, b Row) int { return cmp.Compare(a.Position, b.Position) })
	slices.Sort(m.Remove)
	p.moves++
	p.moving = true
	return m, true
}

// Moved tells what became of the last move. If it was refused, or nobody can know, ok is false: the partition is
// lost, and makes no attempts and moves any more. A caller who does not know may make the move again first:
// it has its effect once, but for the counts.
func (p *Partition) Moved(m Move, ok bool) {
	p.moving = false
	if !ok {
		p.Lose()
		return
	}
	p.cursor = m.To
	p.moved.matched += m.Matched
	p.moved.delivered += m.Delivered
	for _, ev := range p.sent {
		if ev.state == dead && !ev.dirty && !p.c.Hold {
			delete(p.rows, ev.position)
			p.recycle(ev)
		}
	}
	p.sent = p.sent[:0]
}

// Moves counts moves.
func (p *Partition) Moves() uint64 { return p.moves }

// AsOf returns what to hand to Want with rows that are read from now on. While a move is under way that is underWay, which
// Want refuses: nobody knows whether the rows will be those before the move, which might begin again what it says is done.
func (p *Partition) AsOf() uint64 {
	if p.moving {
		return underWay
	}
	return p.moves
}

const underWay = math.MaxUint64

// Lose ends it: it makes no attempts and moves any more. That is for who has lost the partition, or has given it
// back. Attempts in flight are of no concern any more; Ended may be called for them, or not.
func (p *Partition) Lose() {
	if !p.lost {
		p.lost = true
		p.b.release(len(p.flights) - p.stuck)
	}
}

// Drain makes it begin no attempt and read nothing any more. So that who goes on from its cursor repeats nothing that
// was done, what is between gets rows. Drained reports when nothing is in flight; stuck attempts are not waited for.
func (p *Partition) Drain() {
	if p.draining {
		return
	}
	p.draining = true
	p.dissolve()
	p.parkGaps()
	p.advance()
}

// parkGaps makes rows of what is between the cursor and the last event that is settled or in flight.
func (p *Partition) parkGaps() {
	for i := p.window.tail; i > p.window.head; i-- {
		if ev := p.window.at(i - 1); ev.state != fresh || ev.flying {
			p.parkBelow(ev.position)
			return
		}
	}
}

// Drained reports whether a partition that drains has nothing in flight but what is stuck.
func (p *Partition) Drained() bool { return p.draining && len(p.flights) == p.stuck }
