package sagas

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// walker goes through a definition with an instance, from the beginning, and makes the events that come next: what follows is a function
// of definition, instance and time alone.
type walker struct {
	saga *Saga
	now  time.Time
	i    Instance
	out  []Event
	// suffix is that of the names of steps: the index of each Each around them.
	suffix string
	mode   mode
	// index is where steps are in the instance, bodies are the steps of items: both are needed often.
	index  map[string]int
	bodies map[body]sequence
}

type body struct {
	of   *items
	item int
}

// mode is what a walker does on its way.
type mode int

const (
	// begins: it begins what is next, and ends what nobody waits for.
	begins mode = iota
	// undoes: it undoes what was left behind.
	undoes
	// looks: it does nothing.
	looks
)

func (w *walker) emit(e Event) {
	w.out, w.i = append(w.out, e), e.Evolve(w.i)
}

func (w *walker) step(name string) (s Step, begun bool) {
	for at := len(w.index); at < len(w.i.Steps); at++ {
		w.index[w.i.Steps[at].Name] = at
	}
	at, begun := w.index[name]
	if begun {
		s = w.i.Steps[at]
	}
	return s, begun
}

// follow returns the events that follow from what has happened to an instance.
func (s *Saga) follow(i Instance, now time.Time) []Event {
	w := &walker{saga: s, now: now, i: i, index: make(map[string]int, len(i.Steps)), bodies: make(map[body]sequence)}
	switch {
	case i.Status == Waiting || i.Status == "" || i.Status == Terminated:
	case i.Status.IsEnd():
		w.undo(everything, true)
	case i.Reversing || w.goOn():
		if w.undo(everything, false) {
			end := Failed
			if w.i.Cancelling {
				end = Cancelled
			}
			w.emit(Ended{Status: end, Code: w.i.Code, Error: w.i.Error, At: now})
		}
	}
	return w.out
}

// goOn goes on with the steps, and reports whether what is done is to be undone, since it fails or was cancelled. That begins when no
// step is open.
func (w *walker) goOn() (reverses bool) {
	w.takeCancellation()
	code, reason := w.i.Code, w.i.Error
	if !w.i.Cancelling {
		full := w.i.Events >= MaxEvents
		if full {
			w.mode = looks
		}
		p, cause := w.saga.root.walk(w)
		if p == finished || p == pending && !full {
			w.mode = undoes
			w.saga.root.walk(w)
		}
		w.mode = begins
		full = w.i.Events >= MaxEvents && (p == pending || p == left)
		switch {
		case full:
		case p == pending:
			return false
		case p == finished:
			w.letGo(everything, true) // only what a migration has left open
			if !slices.ContainsFunc(w.i.Steps, func(s Step) bool { return s.Status == Undoing || s.Status == NotUndone }) {
				w.emit(Ended{Status: Completed, At: w.now})
			}
			return false
		}
		if full {
			code, reason = CodeTooLong, fmt.Sprintf("it has %d events, and an instance may have %d", w.i.Events, MaxEvents)
		} else {
			s, _ := w.step(cause)
			code, reason = cmp.Or(s.Failure, CodeCancelled), s.Name+": "+s.Error
		}
	}
	if w.letGo(everything, false) {
		return false
	}
	w.emit(CompensationBegan{Code: code, Error: reason, At: w.now})
	return true
}

// takeCancellation cancels the instance if a message has come that does so.
func (w *walker) takeCancellation() {
	for _, m := range w.i.Messages {
		for _, t := range w.saga.triggers {
			if w.i.Cancelling || t.cancels == nil || m.Type != w.saga.typeOf(t.event, t.typeOf) {
				continue
			}
			reason, err := t.cancels(m.Data)
			if err != nil {
				reason = err.Error() // it cancels all the same
			}
			w.emit(Intervened{Act: Cancel, Actor: "event " + m.Type, Reason: reason, At: w.now})
		}
	}
}

func (s sequence) walk(w *walker) (progress, string) {
	for _, n := range s {
		if p, cause := n.walk(w); p != finished {
			return p, cause
		}
	}
	return finished, ""
}

func (t *task) walk(w *walker) (progress, string) {
	name := t.name + w.suffix
	s, begun := w.step(name)
	if w.mode == begins && (!begun || s.Status == Open && t.kind == kindReceive) {
		t.begin(w, name, begun)
		s, _ = w.step(name)
	}
	switch s.Outcome {
	case "":
		return pending, ""
	case Done, Skipped:
		return finished, ""
	case Dropped:
		return left, name
	}
	return broken, name
}

// begin begins a step, and ends one at once for which everything is there. Of one that has begun it takes a message that has come.
func (t *task) begin(w *walker, name string, begun bool) {
	scheduled := StepScheduled{Step: name, At: w.now}
	if t.within > 0 {
		scheduled.Until = w.now.Add(t.within)
	}
	fail := func(code, reason string) {
		if !begun {
			w.emit(scheduled)
		}
		w.emit(StepFailed{Step: name, Code: code, Error: reason, At: w.now})
	}
	switch t.kind {
	case kindUndo:
		w.emit(StepCompleted{Step: name, At: w.now})
		return
	case kindFail:
		fail(t.code, t.reason)
		return
	case kindWait:
		until, err := t.until(w.now, w.i.Data)
		if err != nil {
			fail(CodeDefinition, err.Error())
			return
		}
		if scheduled.Until = until; !until.After(w.now) {
			w.emit(StepCompleted{Step: name, At: w.now})
			return
		}
	case kindReceive:
		for _, m := range w.i.Messages {
			if m.Type != w.saga.typeName(t) {
				continue
			}
			if changes, err := t.receive(w.i.Data, m.Data); err != nil {
				fail(CodeDefinition, err.Error())
			} else {
				w.emit(StepCompleted{Step: name, Changes: changes, Message: m.ID, At: w.now})
			}
			return
		}
	}
	if !begun {
		w.emit(scheduled)
	}
}

// Codes of failures that are not the steps' own.
const (
	// CodeDefinition: a function of the definition has returned an error.
	CodeDefinition = "definition"
	// CodeDeadline: a step has passed its deadline.
	CodeDeadline = "deadline"
	// CodeRejected: a command was refused by its aggregate.
	CodeRejected = "rejected"
	// CodeExhausted: a step was tried as often as it may.
	CodeExhausted = "exhausted"
	// CodeCancelled: somebody has cancelled the instance.
	CodeCancelled = "cancelled"
	// CodeTooLong: the instance has MaxEvents, or would have.
	CodeTooLong = "too-long"
)

const (
	// MaxEvents is how many events an instance may have. One that has them begins nothing more and records no messages: it fails, and only
	// what is open and what is undone adds to them.
	MaxEvents = 10_000
	// WarnEvents is from how many on operators are told.
	WarnEvents = MaxEvents * 8 / 10
)

// decided returns which way was chosen at a step, and chooses if none was.
func (w *walker) decided(name string, choose func() (int, error)) (way int, p progress, cause string) {
	s, begun := w.step(name)
	switch {
	case s.Outcome == Done:
		return s.Branch, finished, ""
	case begun:
		return 0, broken, name
	case w.mode != begins:
		return 0, pending, ""
	}
	way, err := choose()
	if err != nil {
		w.emit(StepScheduled{Step: name, At: w.now})
		w.emit(StepFailed{Step: name, Code: codeOf(err, CodeDefinition), Error: err.Error(), At: w.now})
		return 0, broken, name
	}
	w.emit(StepCompleted{Step: name, Branch: way, At: w.now})
	return way, finished, ""
}

func (b *branches) walk(w *walker) (progress, string) {
	way, p, cause := w.decided(b.name+w.suffix, func() (int, error) { return b.choose(w.i.Data) })
	if p != finished || way < 0 || way >= len(b.ways) {
		return p, cause
	}
	return b.ways[way].walk(w)
}

func (a *attempted) walk(w *walker) (progress, string) {
	name := a.name + w.suffix
	caught, begun := w.step(name)
	if !begun {
		p, cause := a.body.walk(w)
		if p != broken {
			return p, cause
		}
		failure, _ := w.step(cause)
		way := slices.IndexFunc(a.catches, func(c catch) bool { return len(c.codes) == 0 || slices.Contains(c.codes, failure.Failure) })
		switch {
		case way < 0:
			return broken, cause
		case w.mode != begins:
			return pending, ""
		}
		w.emit(StepCompleted{Step: name, Branch: way, At: w.now})
		caught.Branch = way
	}
	if w.mode == undoes { // what has failed may have come about all the same
		w.undo(w.partOf(a.body), true)
		a.body.walk(w)
	}
	if caught.Branch >= len(a.catches) {
		return finished, ""
	}
	return a.catches[caught.Branch].way.walk(w)
}
