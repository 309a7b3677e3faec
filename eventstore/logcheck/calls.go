package logcheck

import "github.com/57528e99/recount/eventstore"

// AppendOf returns the record of a call of eventstore.Appender.
func AppendOf(client string, a eventstore.StreamAppend, opts eventstore.AppendOptions) Append {
	r := Append{Client: client, Stream: a.Stream, Expected: ExpectedOf(a.Expected), Content: ContentOf(a.Events...)}
	for i := range a.Events {
		if id := a.Events[i].ID; id != (eventstore.Event{}).ID {
			r.IDs = append(r.IDs, id)
		}
	}
	if opts.Receipt != nil {
		r.Receipt = opts.Receipt.Scope + " " + opts.Receipt.Key
	}
	return r
}

// PendingTogether is an append to several streams that has begun.
type PendingTogether []Pending

// BeginTogether is Begin for an append to several streams.
func (r *Recorder) BeginTogether(client string, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) PendingTogether {
	together := r.number()
	all := make(PendingTogether, len(appends))
	for i, a := range appends {
		part := AppendOf(client, a, opts)
		part.Together = together
		all[i] = r.Begin(part)
	}
	return all
}

// number returns a number that no operation has.
func (r *Recorder) number() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops++
	return r.ops
}

// Answer records what an eventstore.MultiStreamAppender returned. That one of
// the streams was refused says nothing about the others' versions.
func (p PendingTogether) Answer(done []eventstore.Appended, err error) {
	outcome := outcomeOf(err)
	if err == nil && len(done) != len(p) {
		outcome = Unknown // it did not say what it did
	}
	for i := range p {
		switch outcome {
		case Acked:
			p[i].Answer(done[i], nil)
		case Conflicted:
			p[i].End(Refused, 0, 0, 0)
		default:
			p[i].End(outcome, 0, 0, 0)
		}
	}
}

// ReadOf begins the record of a read of a stream from its first event that is
// shown to its end.
func ReadOf(client, stream string) Read {
	return Read{Client: client, Stream: stream, Version: -1, Start: Now()}
}

// Saw ends the record with all events that were shown. Without any it says that
// the stream was not found; do not record a read that was empty for another
// reason.
func (r Read) Saw(events ...eventstore.RecordedEvent) Read {
	for i := range events {
		if i == 0 {
			r.From = events[i].Version
		}
		r.Version, r.Chain = events[i].Version, r.Chain.Add(events[i].ID)
	}
	r.End = Now()
	return r
}
