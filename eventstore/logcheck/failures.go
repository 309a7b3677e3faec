package logcheck

// Errors checks the errors that appends ended with: they are those of the
// contract, and none says that an id was used for something else if the log has
// the very append under it.
func Errors(h *History, l *Log) []Violation {
	f := findings{rule: RuleErrors}
	for i := range h.Appends {
		a := &h.Appends[i]
		switch {
		case a.Strange != "":
			f.add("%s ended with %q, which is no error of an append", a, a.Strange)
		case a.Reused && l.repeats(a):
			f.add("%s was refused for ids that were used, by the same append", a)
		}
	}
	return f.list()
}

// repeats reports whether an append to one stream asks for what is stored under
// its ids, as a part of one append, at a version that meets its demand.
func (l *Log) repeats(a *Append) bool {
	place, ok := l.first(a)
	if !ok || a.Together != 0 || a.Content == 0 {
		return false
	}
	first, content := &l.events[place], uint64(0)
	for n, id := range a.IDs {
		place, ok := l.find(a.Stream, id)
		if !ok {
			return false
		}
		e := &l.events[place]
		if e.version != first.version+int64(n) || e.appendEnd != first.appendEnd {
			return false
		}
		content = addContent(content, e.content)
	}
	anywhere := a.Expected == AnyVersion || a.Expected == StreamExists
	return content == a.Content && (anywhere || int64(a.Expected) == first.version-1)
}
