package logcheck

import (
	"cmp"
	"slices"
)

// AckedStored checks that what was acknowledged is in the log, whole, at exactly
// the version and position that the client was told. What a restore took away is
// excused if the client was told of an earlier incarnation of the log.
func AckedStored(h *History, l *Log) []Violation {
	f := findings{rule: RuleAcked}
	for i := range h.Appends {
		a := &h.Appends[i]
		if a.Outcome != Acked || l.lost(a.Incarnation, a.Position) {
			continue
		}
		for n, id := range a.IDs {
			want := a.Version - int64(len(a.IDs)-1-n)
			place, ok := l.find(a.Stream, id)
			if !ok {
				f.add("%s was acknowledged at position %d, version %d; its event %s is not in the log", a, a.Position, a.Version, id)
				break
			}
			if e := &l.events[place]; e.version != want {
				f.add("%s was acknowledged at version %d; its event %d is %s", a, a.Version, n, l.event(e))
				break
			}
		}
		l.checkEnd(&f, a)
		l.checkContent(&f, a)
	}
	return f.list()
}

// checkEnd checks the place that an append was told.
func (l *Log) checkEnd(f *findings, a *Append) {
	if a.Position == 0 {
		return
	}
	place, ok := l.at(a.Position)
	if !ok {
		f.add("%s was acknowledged at position %d, which the log does not have", a, a.Position)
	} else if e := &l.events[place]; e.version != a.Version || l.streams[e.stream].name != a.Stream {
		f.add("%s was acknowledged at position %d, version %d; there is %s", a, a.Position, a.Version, l.event(e))
	}
}

// checkContent compares what is stored with what was sent.
func (l *Log) checkContent(f *findings, a *Append) {
	if a.Content == 0 || len(a.IDs) == 0 {
		return
	}
	content := uint64(0)
	for _, id := range a.IDs {
		place, ok := l.find(a.Stream, id)
		if !ok {
			return // said already
		}
		content = addContent(content, l.events[place].content)
	}
	if content != a.Content {
		f.add("%s was acknowledged at position %d; what is stored is not what was sent", a, a.Position)
	}
}

// Unsent checks that the log has nothing that no client sent, but for the
// store's own events. It needs the ids of all appends.
func Unsent(h *History, l *Log) []Violation {
	f := findings{rule: RuleUnsent}
	sent := make([]bool, len(l.events))
	for i := range h.Appends {
		for _, id := range h.Appends[i].IDs {
			if place, ok := l.find(h.Appends[i].Stream, id); ok {
				sent[place] = true
			}
		}
	}
	for i := range l.events {
		if e := &l.events[i]; !sent[i] && !l.byStore(e) {
			f.add("nobody sent %s", l.event(e))
		}
	}
	return f.list()
}

// RefusedNotStored checks that nothing is stored of an append whose every
// attempt was refused.
func RefusedNotStored(h *History, l *Log) []Violation {
	f := findings{rule: RuleRefused}
	hopes := make([]bool, len(l.events)) // some attempt may have stored what is at this place
	for i := range h.Appends {
		a := &h.Appends[i]
		if a.Outcome != Acked && a.Outcome != Unknown {
			continue
		}
		for _, id := range a.IDs {
			if place, ok := l.find(a.Stream, id); ok {
				hopes[place] = true
			}
		}
	}
	for i := range h.Appends {
		a := &h.Appends[i]
		if place, ok := l.first(a); ok && !hopes[place] {
			f.add("%s was refused (%s), yet there is %s", a, a.Outcome, l.event(&l.events[place]))
		}
	}
	return f.list()
}

// OneWinner checks that of all appends that demanded the same version of a
// stream at most one was acknowledged, attempts of one append counted once, and
// that a conflict was with another version.
func OneWinner(h *History, l *Log) []Violation {
	f := findings{rule: RuleOneWinner}
	type demand struct {
		stream  string
		version Expected
	}
	winners := make(map[demand]*Append)
	for i := range h.Appends {
		a := &h.Appends[i]
		if a.Expected < 0 || l.lost(a.Incarnation, a.Position) {
			continue
		}
		switch d := (demand{a.Stream, a.Expected}); {
		case a.Outcome == Conflicted && a.Version == int64(a.Expected):
			f.add("%s conflicted with that very version", a)
		case a.Outcome != Acked || len(a.IDs) == 0:
		case a.Version != int64(a.Expected)+int64(len(a.IDs)):
			f.add("%s was acknowledged at version %d for %d events", a, a.Version, len(a.IDs))
		case winners[d] == nil:
			winners[d] = a
		case !slices.Equal(winners[d].IDs, a.IDs):
			f.add("%s and %s were both acknowledged", winners[d], a)
		}
	}
	return f.list()
}

// Retries checks that all acknowledgements for one receipt say the same, and that
// one set of events is stored for it. That those of the same events say the same
// follows from AckedStored, and that they are stored once from IDsOnce.
func Retries(h *History, l *Log) []Violation {
	f := findings{rule: RuleRetries}
	receipts := make(map[string]*Append)
	stored := make(map[receiptPart]*Append)
	for i := range h.Appends {
		a := &h.Appends[i]
		if a.Receipt == "" || a.Together != 0 {
			continue
		}
		if _, ok := l.first(a); ok {
			part := receiptPart{a.Receipt, a.Stream}
			if other := stored[part]; other == nil {
				stored[part] = a
			} else if !slices.Equal(other.IDs, a.IDs) {
				f.add("%s and %s had one receipt, %q, and are both stored", other, a, a.Receipt)
			}
		}
		if a.Outcome != Acked || l.lost(a.Incarnation, a.Position) {
			continue
		}
		sameAnswer(&f, receipts[a.Receipt], a)
		receipts[a.Receipt] = cmp.Or(receipts[a.Receipt], a)
	}
	return f.list()
}

type receiptPart struct{ receipt, stream string }

func sameAnswer(f *findings, one, other *Append) {
	if one != nil && (one.Stream != other.Stream || one.Version != other.Version ||
		one.Position != other.Position && one.Position != 0 && other.Position != 0) {
		f.add("%s was answered version %d at position %d, %s version %d at position %d, though it is the same",
			one, one.Version, one.Position, other, other.Version, other.Position)
	}
}

// Together checks that appends to several streams are stored in all of them, as
// one append, or in none.
func Together(h *History, l *Log) []Violation {
	f := findings{rule: RuleTogether}
	type group struct {
		client string
		number int64
	}
	type ends struct {
		end    int64 // 0: not stored
		append *Append
	}
	groups := make(map[group]ends)
	for i := range h.Appends {
		a := &h.Appends[i]
		if a.Together == 0 || a.Outcome != Acked && a.Outcome != Unknown {
			continue
		}
		for _, id := range a.IDs {
			now := ends{append: a}
			if place, ok := l.find(a.Stream, id); ok {
				now.end = l.events[place].appendEnd
			}
			g := group{a.Client, a.Together}
			if before, ok := groups[g]; !ok {
				groups[g] = now
			} else if before.end != now.end {
				f.add("%s and %s were one append; one ends at position %d of the log, the other at %d (0: is not there)",
					before.append, a, before.end, now.end)
			}
		}
	}
	return f.list()
}
