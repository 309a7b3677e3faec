package logcheck

import "time"

// Gapless checks that positions are 1, 2, 3 and so on.
func Gapless(l *Log) []Violation {
	f := findings{rule: RuleGapless}
	last := int64(0)
	for i := range l.events {
		if e := &l.events[i]; e.position != last+1 {
			f.add("%s comes after position %d", l.event(e), last)
		}
		last = l.events[i].position
	}
	return f.list()
}

// Versions checks that the versions of each stream are 0, 1, 2 and so on, in the
// order of positions.
func Versions(l *Log) []Violation {
	f := findings{rule: RuleVersions}
	for _, s := range l.streams {
		last := int64(-1)
		for _, place := range s.events {
			if e := &l.events[place]; e.version != last+1 {
				f.add("%s comes after version %d", l.event(e), last)
			}
			last = l.events[place].version
		}
	}
	return f.list()
}

// Times checks that no event was recorded before the one in front of it.
func Times(l *Log) []Violation {
	f := findings{rule: RuleTimes}
	for i := 1; i < len(l.events); i++ {
		if e, before := &l.events[i], &l.events[i-1]; e.recordedAt < before.recordedAt {
			f.add("%s was recorded at %s, the event before at %s", l.event(e),
				time.UnixMicro(e.recordedAt).UTC(), time.UnixMicro(before.recordedAt).UTC())
		}
	}
	return f.list()
}

// WholeAppends checks that all events of an append are there and agree on where
// it ends.
func WholeAppends(l *Log) []Violation {
	f := findings{rule: RuleAppends}
	for i := range l.events {
		e := &l.events[i]
		switch {
		case e.appendEnd < e.position:
			f.add("the append of %s ends at %d, before it", l.event(e), e.appendEnd)
		case e.appendEnd == e.position:
		case i+1 == len(l.events):
			f.add("the append of %s ends at %d, the log before", l.event(e), e.appendEnd)
		case l.events[i+1].appendEnd != e.appendEnd:
			f.add("the append of %s ends at %d, that of the next event at %d", l.event(e), e.appendEnd, l.events[i+1].appendEnd)
		}
	}
	return f.list()
}

// IDsOnce checks that no stream has two events of the same id.
func IDsOnce(l *Log) []Violation {
	f := findings{rule: RuleIDsOnce}
	for _, place := range l.repeated {
		f.add("%s is known by an id that its stream had before", l.event(&l.events[place]))
	}
	return f.list()
}
