package logcheck

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Load reads the histories in files. What is behind the last end of a line in a
// file was not finished and is left out; any other line that is no record is an
// error.
func Load(paths ...string) (History, error) {
	l := loader{names: make(map[string]string)}
	for _, path := range paths {
		l.open = make(map[int64]int)
		if err := ReadLines(path, l.line); err != nil {
			return History{}, fmt.Errorf("load the history in %s: %w", path, err)
		}
	}
	return l.history, nil
}

type loader struct {
	history History
	open    map[int64]int     // the places of appends without an answer
	names   map[string]string // of clients and streams, each once in memory
}

func (l *loader) line(text []byte) error {
	var in line
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	h := &l.history
	switch {
	case in.Begin != nil:
		a := *in.Begin
		a.Client, a.Stream, a.Outcome, a.End = l.name(a.Client), l.name(a.Stream), Unknown, never
		l.open[a.Op] = len(h.Appends)
		h.Appends = append(h.Appends, a)
	case in.End != nil:
		place, ok := l.open[in.End.Op]
		if !ok {
			return fmt.Errorf("operation %d ends, and did not begin", in.End.Op)
		}
		delete(l.open, in.End.Op)
		in.End.apply(&h.Appends[place])
		h.Appends[place].Outcome = outcome(in.End.Outcome)
	case in.Read != nil:
		r := *in.Read
		r.Client, r.Stream = l.name(r.Client), l.name(r.Stream)
		h.Reads = append(h.Reads, r)
	case in.Batch != nil:
		in.Batch.Reader = l.name(in.Batch.Reader)
		h.Batches = append(h.Batches, *in.Batch)
	default:
		return errors.New("it records nothing")
	}
	return nil
}

// name returns the one copy of a name.
func (l *loader) name(s string) string {
	if known, ok := l.names[s]; ok {
		return known
	}
	l.names[s] = s
	return s
}

// outcome returns the one copy of an outcome.
func outcome(o Outcome) Outcome {
	for _, known := range []Outcome{Acked, Conflicted, Refused} {
		if o == known {
			return known
		}
	}
	return Unknown
}
