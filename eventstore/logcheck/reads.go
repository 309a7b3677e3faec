package logcheck

// ReadsOfLog checks that what reads of streams showed is in the log, event by
// event.
func ReadsOfLog(h *History, l *Log) []Violation {
	f := findings{rule: RuleReads}
	prefixes := make(map[int32][]Chain)
	for i := range h.Reads {
		r := &h.Reads[i]
		if r.Version < 0 {
			continue
		}
		s, ok := l.byName[r.Stream]
		if !ok || r.Version >= int64(len(l.streams[s].events)) {
			f.add("%s: the log does not have that version", r)
			continue
		}
		if r.Chain == 0 {
			continue
		}
		var want Chain
		if r.From == 0 {
			if prefixes[s] == nil {
				prefixes[s] = l.prefixes(s)
			}
			want = prefixes[s][r.Version]
		} else {
			for _, place := range l.streams[s].events[min(r.From, r.Version+1) : r.Version+1] {
				want = want.Add(l.events[place].id)
			}
		}
		if want != r.Chain {
			f.add("%s: its events, from version %d, are not those of the log", r, r.From)
		}
	}
	return f.list()
}

// prefixes returns the chain of the events up to each version of a stream.
func (l *Log) prefixes(s int32) []Chain {
	var c Chain
	chains := make([]Chain, 0, len(l.streams[s].events))
	for _, place := range l.streams[s].events {
		c = c.Add(l.events[place].id)
		chains = append(chains, c)
	}
	return chains
}
