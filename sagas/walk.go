package sagas

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
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
	// dry: nothing is begun.
	dry bool
}

func (w *walker) emit(e Event) {
	w.out, w.i = append(w.out, e), e.Evolve(w.i)
}

// follow returns the events that follow from what has happened to an instance.
func (s *Saga) follow(i Instance, now time.Time) []Event {
	w := &walker{saga: s, now: now, i: i}
	w.run()
	return w.out
}

func (w *walker) run() {
	switch {
	case w.i.Status == Waiting || w.i.Status == "" || w.i.Status == Terminated:
		return
	case w.i.Status.IsEnd():
		w.compensate(everything, true)
		return
	case !w.i.Reversing:
		if w.forward() {
			return
		}
	}
	if w.compensate(everything, false) == finished {
		end := Failed
		if w.i.Cancelling {
			end = Cancelled
		}
		w.emit(Ended{Status: end, Code: w.i.Code, Error: w.i.Error, At: w.now})
	}
}

// forward goes on with the steps, and returns false when what is done is to be undone.
func (w *walker) forward() bool {
	w.dry = w.i.Cancelling // then nothing new begins
	p := w.saga.root.walk(w)
	w.dry = false
	switch {
	case p == pending && !w.i.Cancelling:
		return true
	case p == finished && !w.i.Cancelling:
		if !slices.ContainsFunc(w.i.Steps, func(s Step) bool { return s.Status == Undoing || s.Status == NotUndone }) {
			w.emit(Ended{Status: Completed, At: w.now})
		}
		return true
	case w.letGo(everything):
		return true
	}
	code, reason := w.i.Code, w.i.Error
	if !w.i.Cancelling {
		code, reason = w.cause()
	}
	w.emit(CompensationBegan{Code: code, Error: reason, At: w.now})
	return false
}

// cause returns why the instance fails: the last step that failed.
func (w *walker) cause() (code, reason string) {
	for _, s := range w.i.Steps {
		if s.Status == NotDone || s.Status == Unknown {
			code, reason = s.Code, s.Name+": "+s.Error
		}
	}
	return code, reason
}

// part are steps of a definition: those with some names, inside of some items.
type part struct {
	names  map[string]bool // nil: all
	suffix string
}

var everything part

func (p part) has(step string) bool {
	if p.names == nil {
		return true
	}
	at := strings.IndexByte(step+"[", '[')
	return p.names[step[:at]] && strings.HasPrefix(step[at:], p.suffix)
}

// partOf returns the steps of a part of the definition, inside of the items that are walked.
func (w *walker) partOf(n node) part {
	names := make(map[string]bool)
	n.each(func(name string) { names[name] = true })
	return part{names, w.suffix}
}

// letGo lets those open steps of a part end that only wait for others, and reports whether others are still open.
func (w *walker) letGo(of part) (open bool) {
	for _, s := range slices.Clone(w.i.Steps) {
		if s.Status != Open || !of.has(s.Name) {
			continue
		}
		t := w.saga.find(s.Name)
		switch {
		case t == nil:
		case t.kind == kindReceive || t.kind == kindWait:
			w.emit(StepDropped{Step: s.Name, At: w.now})
		case t.kind == kindAnswer: // whoever was asked may have done it
			w.emit(StepFailed{Step: s.Name, Code: CodeCancelled, Error: "nobody waits for the answer any more", Unknown: true, At: w.now})
		default:
			open = true
		}
	}
	return open
}

// compensate undoes what is done of a part, one step after another, the last first. If late is set that is only what came too late.
func (w *walker) compensate(of part, late bool) progress {
	last := -1
	for at := range w.i.Steps {
		s := &w.i.Steps[at]
		if !of.has(s.Name) {
			continue
		}
		switch s.Status {
		case Undoing, NotUndone:
			return pending
		case Done, Unknown, Late:
			if t := w.saga.find(s.Name); late && s.Status != Late || t == nil || t.undo == nil {
				continue
			}
			if last < 0 || order(s) > order(&w.i.Steps[last]) {
				last = at
			}
		}
	}
	if last < 0 {
		return finished
	}
	w.emit(w.saga.undoing(w.i.Steps[last].Name, w.now))
	return pending
}

// order is that in which steps have come about. One of which nobody knows may have come about last.
func order(s *Step) int {
	if s.Status == Unknown {
		return 1 << 30
	}
	return s.Completed
}

// begins returns the event that begins a step, or its undoing.
func (s *Saga) begins(step string, now time.Time) Event {
	e := StepScheduled{Step: step, At: now}
	if t := s.find(step); t.within > 0 {
		e.Until = now.Add(t.within)
	}
	return e
}

func (s *Saga) undoing(step string, now time.Time) Event {
	e := CompensationScheduled{Step: step, At: now}
	if t := s.find(step); t != nil {
		e.Until = now.Add(cmp.Or(t.within, DefaultDeadline))
	}
	return e
}

// find returns the task that a step is of, such as that of the third item for ship[2]; nil: there is none.
func (s *Saga) find(step string) *task {
	name, rest, isItem := strings.Cut(step, "[")
	if !isItem {
		return s.tasks[name]
	}
	var at []int
	for text := range strings.SplitSeq(rest, "[") {
		i, err := strconv.Atoi(strings.TrimSuffix(text, "]"))
		if err != nil {
			return nil
		}
		at = append(at, i)
	}
	return s.root.find(name, at)
}

// anyOpen reports whether a step of a part is open.
func (w *walker) anyOpen(of part) bool {
	return slices.ContainsFunc(w.i.Steps, func(s Step) bool { return s.Status == Open && of.has(s.Name) })
}

func (s sequence) walk(w *walker) progress {
	for _, n := range s {
		if p := n.walk(w); p != finished {
			return p
		}
	}
	return finished
}

func (t *task) walk(w *walker) progress {
	name := t.name + w.suffix
	s, begun := w.i.Step(name)
	switch {
	case !begun && w.dry:
		return pending
	case !begun:
		t.begin(w, name)
		if s, begun = w.i.Step(name); !begun {
			return pending
		}
	case s.Status == Open && t.kind == kindReceive && !w.dry:
		t.take(w, name)
		s, _ = w.i.Step(name)
	}
	switch s.Status {
	case Done, Skipped:
		return finished
	case Open:
		return pending
	default:
		return broken
	}
}

// begin begins a step.
func (t *task) begin(w *walker, name string) {
	switch t.kind {
	case kindFail:
		w.emit(StepScheduled{Step: name, At: w.now})
		w.emit(StepFailed{Step: name, Code: t.code, Error: t.reason, At: w.now})
	case kindWait:
		until, err := t.until(w.now, w.i.Data)
		switch {
		case err != nil:
			w.emit(StepScheduled{Step: name, At: w.now})
			w.emit(StepFailed{Step: name, Code: CodeDefinition, Error: err.Error(), At: w.now})
		case !until.After(w.now):
			w.emit(StepCompleted{Step: name, At: w.now})
		default:
			w.emit(StepScheduled{Step: name, Until: until, At: w.now})
		}
	case kindReceive:
		if !t.take(w, name) {
			w.emit(w.saga.begins(name, w.now))
		}
	default:
		w.emit(w.saga.begins(name, w.now))
	}
}

// take handles a message that a step waits for, if one has come.
func (t *task) take(w *walker, name string) bool {
	for _, m := range w.i.Messages {
		if m.Type != w.saga.typeName(t) {
			continue
		}
		changes, err := t.receive(w.i.Data, m.Data)
		if err != nil {
			if _, begun := w.i.Step(name); !begun {
				w.emit(StepScheduled{Step: name, At: w.now})
			}
			w.emit(StepFailed{Step: name, Code: CodeDefinition, Error: err.Error(), At: w.now})
			return true
		}
		w.emit(StepCompleted{Step: name, Changes: changes, Message: m.ID, At: w.now})
		return true
	}
	return false
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
)

// decided returns which way was chosen at a step, and chooses if none was. It returns false after an error.
func (w *walker) decided(name string, choose func() (int, error)) (way int, p progress) {
	s, begun := w.i.Step(name)
	switch {
	case begun && s.Status == Done:
		return s.Branch, finished
	case begun:
		return 0, broken
	case w.dry:
		return 0, pending
	}
	way, err := choose()
	if err != nil {
		w.emit(StepScheduled{Step: name, At: w.now})
		w.emit(StepFailed{Step: name, Code: CodeDefinition, Error: err.Error(), At: w.now})
		return 0, broken
	}
	w.emit(StepCompleted{Step: name, Branch: way, At: w.now})
	return way, finished
}

func (b *branches) walk(w *walker) progress {
	way, p := w.decided(b.name+w.suffix, func() (int, error) { return b.choose(w.i.Data) })
	if p != finished || way < 0 || way >= len(b.ways) {
		return p
	}
	return b.ways[way].walk(w)
}

func (p *parallel) walk(w *walker) progress {
	return w.walkAll(len(p.ways), len(p.ways), p.enough, true, func(i int) progress { return p.ways[i].walk(w) },
		func(i int) part { return w.partOf(p.ways[i]) })
}

func (m *items) walk(w *walker) progress {
	n, p := w.decided(m.name+w.suffix, func() (int, error) { return m.count(w.i.Data) })
	if p != finished {
		return p
	}
	suffix := w.suffix
	inside := func(i int, do func()) {
		w.suffix = suffix + "[" + strconv.Itoa(i) + "]"
		do()
		w.suffix = suffix
	}
	atOnce := m.atOnce
	if atOnce <= 0 {
		atOnce = n
	}
	return w.walkAll(n, atOnce, n-m.tolerated, false, func(i int) (p progress) {
		inside(i, func() { p = m.body(i).walk(w) })
		return p
	}, func(i int) (of part) {
		inside(i, func() { of = w.partOf(m.body(i)) })
		return of
	})
}

// walkAll walks ways that are gone at once, until enough of them are finished, or cannot be any more. If drop is set, nobody waits for the
// others then.
func (w *walker) walkAll(n, atOnce, enough int, drop bool, walk func(int) progress, partOf func(int) part) progress {
	count := func() (done, failed int) {
		dry := w.dry
		w.dry = true
		for i := range n {
			switch walk(i) {
			case finished:
				done++
			case broken:
				failed++
			}
		}
		w.dry = dry
		return done, failed
	}
	for {
		done, failed := count()
		switch {
		case done >= enough && (drop || done+failed == n):
			if drop && !w.dry {
				w.dropOthers(n, walk, partOf)
			}
			return finished
		case failed > n-enough:
			open := false
			for i := range n {
				open = !w.dry && w.letGo(partOf(i)) || w.dry && w.anyOpen(partOf(i)) || open
			}
			if open {
				return pending
			}
			return broken
		case w.dry:
			return pending
		}
		before, under := len(w.out), 0
		for i := range n {
			if under >= atOnce {
				break
			}
			if walk(i) == pending {
				under++
			}
		}
		if len(w.out) == before {
			return pending
		}
	}
}

// dropOthers lets go what is not finished of ways of which enough are: what is open is awaited no more, what is done is undone.
func (w *walker) dropOthers(n int, walk func(int) progress, partOf func(int) part) {
	for i := range n {
		w.dry = true
		p := walk(i)
		w.dry = false
		if p == finished {
			continue
		}
		of := partOf(i)
		for _, s := range slices.Clone(w.i.Steps) {
			if s.Status == Open && of.has(s.Name) {
				w.emit(StepDropped{Step: s.Name, At: w.now})
			}
		}
		w.compensate(of, false)
	}
}

func (a *attempted) walk(w *walker) progress {
	caught, begun := w.i.Step(a.name + w.suffix)
	if !begun {
		p := a.body.walk(w)
		if p != broken {
			return p
		}
		of := w.partOf(a.body)
		if w.dry || w.letGo(of) {
			return pending
		}
		way := -1
		for _, s := range w.i.Steps {
			if of.has(s.Name) && (s.Status == NotDone || s.Status == Unknown) {
				way = slices.IndexFunc(a.catches, func(c catch) bool { return len(c.codes) == 0 || slices.Contains(c.codes, s.Code) })
			}
		}
		if way < 0 {
			return broken
		}
		w.emit(StepCompleted{Step: a.name + w.suffix, Branch: way, At: w.now})
		caught.Branch = way
	}
	return a.catches[caught.Branch].way.walk(w)
}

func (s sequence) each(do func(string)) {
	for _, n := range s {
		n.each(do)
	}
}

func (t *task) each(do func(string)) { do(t.name) }

func (b *branches) each(do func(string)) {
	do(b.name)
	for _, way := range b.ways {
		way.each(do)
	}
}

func (p *parallel) each(do func(string)) {
	for _, way := range p.ways {
		way.each(do)
	}
}

func (m *items) each(do func(string)) {
	do(m.name)
	m.body(0).each(do)
}

func (a *attempted) each(do func(string)) {
	do(a.name)
	a.body.each(do)
	for _, c := range a.catches {
		c.way.each(do)
	}
}

func (s sequence) find(name string, at []int) *task {
	for _, n := range s {
		if t := n.find(name, at); t != nil {
			return t
		}
	}
	return nil
}

func (t *task) find(name string, at []int) *task {
	if t.name != name || len(at) > 0 {
		return nil
	}
	return t
}

func (b *branches) find(name string, at []int) *task { return findIn(b.ways, name, at) }
func (p *parallel) find(name string, at []int) *task { return findIn(p.ways, name, at) }

func findIn(ways []sequence, name string, at []int) *task {
	for _, way := range ways {
		if t := way.find(name, at); t != nil {
			return t
		}
	}
	return nil
}

func (m *items) find(name string, at []int) *task {
	if len(at) == 0 {
		return nil
	}
	return m.body(at[0]).find(name, at[1:])
}

func (a *attempted) find(name string, at []int) *task {
	if t := a.body.find(name, at); t != nil {
		return t
	}
	for _, c := range a.catches {
		if t := c.way.find(name, at); t != nil {
			return t
		}
	}
	return nil
}

// members returns data as its members.
func members(data any) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	return m, json.Unmarshal(text, &m)
}
