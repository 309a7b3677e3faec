package sagatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/sagas"
)

// violation is a rule that was broken.
type violation struct{ rule, what string }

func (v *violation) Error() string { return fmt.Sprintf("%s: %s", v.rule, v.what) }

// fact is what the events say of a step, apart from how package sagas folds them.
type fact struct {
	open, done, failed, dropped, skipped bool
	// lost: it has failed or was dropped, and has come about all the same, or may have. Late is how often it has.
	lost bool
	late int
	// undoing, stuck, undone: how far it is undone.
	undoing, stuck, undone bool
	branch                 int
	code                   string
	ended                  int
}

// happened reports whether there is something to undo.
func (f *fact) happened() bool { return (f.done || f.lost) && !f.skipped && !f.undone }

// judge has an instance decide, and checks each event. It panics with a violation.
type judge struct {
	saga   *sagas.Saga
	now    time.Time
	i      sagas.Instance
	events []sagas.Event

	facts                         map[string]*fact
	names                         []string
	received, taken               map[uuid.UUID]bool
	started, cancelled, reversing bool
	end                           sagas.Status
	retried                       string
	// past are all instances as they were, with their texts: nobody may have written into them.
	past []pastInstance
}

type pastInstance struct {
	i    sagas.Instance
	text []byte
}

func newJudge(s *sagas.Saga) *judge {
	return &judge{saga: s, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), facts: make(map[string]*fact),
		received: make(map[uuid.UUID]bool), taken: make(map[uuid.UUID]bool)}
}

func (j *judge) violated(rule, format string, args ...any) {
	panic(&violation{rule, fmt.Sprintf(format, args...)})
}

func textOf(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// input has the instance decide an input, and returns how many events that made. The error is a refusal.
func (j *judge) input(in sagas.Input) (int, error) {
	before := len(j.events)
	events, err := j.saga.Decide(j.i, in, j.now)
	if err != nil {
		if len(events) > 0 {
			j.violated(ruleRefused, "%T was refused with %v, and has events", in, err)
		}
		return 0, err
	}
	again, err := j.saga.Decide(j.i, in, j.now)
	if err != nil || !reflect.DeepEqual(again, events) {
		j.violated(ruleDecides, "%T again: %v, %d events, then %d", in, err, len(events), len(again))
	}
	for _, e := range events {
		j.check(e)
	}
	if len(j.events) > before {
		j.past = append(j.past, pastInstance{j.i, textOf(j.i)})
		j.checkState()
	}
	return len(events), nil
}

// The rules.
const (
	ruleRefused  = "what is refused has no events"
	ruleDecides  = "the same input decides the same"
	ruleWrites   = "nothing is written into an instance"
	ruleFold     = "the events alone make the instance"
	ruleOnce     = "an instance begins once, and ends once"
	ruleBegins   = "a step begins once, and ends once"
	ruleCloses   = "after a cancel, or when compensation has begun, nothing begins"
	ruleNoOpen   = "compensation, and an end, is when no step is open"
	ruleUndo     = "only what has come about is undone, once"
	ruleOrder    = "it is undone in the reverse order"
	ruleAllUndo  = "of what failed or was cancelled all is undone"
	ruleKept     = "what is completed has undone only what was left behind"
	ruleLate     = "what comes too late is recorded once, and undone"
	ruleData     = "what comes too late changes no data"
	ruleMessages = "a message is recorded once, and taken by one step"
	ruleTwice    = "what comes twice changes nothing"
	ruleStatus   = "the status says what is going on"
	ruleProgress = "there is always something to wait for until the end"
	ruleEnds     = "every instance ends"
	ruleAsks     = "what a step asks for can be made of the data"
	ruleOwn      = "your own rule holds"
)

func (j *judge) closed() bool { return j.cancelled || j.reversing || j.end != "" }

func (j *judge) fact(step string) *fact {
	f := j.facts[step]
	if f == nil {
		f = &fact{}
		j.facts[step], j.names = f, append(j.names, step)
	}
	return f
}

// check judges an event, and folds it.
func (j *judge) check(event sagas.Event) {
	before := j.i
	at := len(j.events)
	j.events = append(j.events, event)
	j.i = event.Evolve(j.i)
	if j.i.Events != int64(at+1) {
		j.violated(ruleFold, "the instance has %d events after %d", j.i.Events, at+1)
	}
	switch e := event.(type) {
	case sagas.Started:
		if j.started || j.end != "" {
			j.violated(ruleOnce, "it has begun, or ended, before")
		}
		j.started = true
		if e.Message != uuid.Nil {
			j.receive(e.Message)
		}
	case sagas.Received:
		j.receive(e.Message)
	case sagas.StepScheduled:
		if j.facts[e.Step] != nil {
			j.violated(ruleBegins, "%s began before", e.Step)
		}
		j.begins(e.Step)
		j.fact(e.Step).open = true
	case sagas.StepCompleted:
		j.completed(e, at, before)
	case sagas.StepFailed:
		f := j.fact(e.Step)
		switch {
		case f.open:
			f.failed, f.ended, f.code = true, at, e.Code
		case !f.dropped || !e.Unknown || f.lost:
			j.violated(ruleBegins, "%s has failed, and was not open", e.Step)
		}
		f.open, f.lost = false, e.Unknown
	case sagas.StepDropped:
		f := j.fact(e.Step)
		if !f.open {
			j.violated(ruleBegins, "%s was dropped, and was not open", e.Step)
		}
		f.open, f.dropped, f.lost, f.ended = false, true, e.Unknown, at
	case sagas.CompensationBegan:
		if j.reversing || j.end != "" {
			j.violated(ruleOnce, "compensation began again, or after the end")
		}
		j.noOpen()
		j.reversing = true
	case sagas.CompensationScheduled:
		j.undoing(e.Step)
	case sagas.Compensated:
		f := j.fact(e.Step)
		if !f.undoing && !f.stuck {
			j.violated(ruleUndo, "%s is undone, and nobody was doing that", e.Step)
		}
		f.undoing, f.stuck, f.undone = false, false, true
	case sagas.CompensationFailed:
		f := j.fact(e.Step)
		if !f.undoing {
			j.violated(ruleUndo, "%s cannot be undone, and nobody was doing that", e.Step)
		}
		f.undoing, f.stuck = false, true
	case sagas.Intervened:
		j.intervened(e)
	case sagas.Ended:
		j.ended(e)
	}
}

func (j *judge) receive(id uuid.UUID) {
	if j.received[id] {
		j.violated(ruleMessages, "message %v was recorded before", id)
	}
	j.received[id] = true
}

func (j *judge) begins(step string) {
	if j.closed() {
		j.violated(ruleCloses, "%s begins", step)
	}
}

func (j *judge) completed(e sagas.StepCompleted, at int, before sagas.Instance) {
	f, begun := j.facts[e.Step], true
	if f == nil {
		begun = false
		j.begins(e.Step)
		f = j.fact(e.Step)
	}
	if e.Message != uuid.Nil {
		if !j.received[e.Message] || j.taken[e.Message] {
			j.violated(ruleMessages, "%s takes message %v, which did not come or was taken", e.Step, e.Message)
		}
		j.taken[e.Message] = true
	}
	switch {
	case !begun, f.open:
		f.open, f.done, f.branch, f.ended = false, true, e.Branch, at
		return
	case f.late > 0 || f.done || f.undoing || f.undone || f.stuck || f.skipped:
		j.violated(ruleLate, "%s is completed again", e.Step)
	}
	f.late, f.lost = f.late+1, true
	if !bytes.Equal(textOf(before.Data), textOf(j.i.Data)) {
		j.violated(ruleData, "of %s", e.Step)
	}
}

func (j *judge) undoing(step string) {
	f := j.fact(step)
	switch {
	case !f.happened() || f.undoing || f.stuck && j.retried != step || !j.saga.Undoes(step):
		j.violated(ruleUndo, "%s is being undone: %+v", step, *f)
	case j.end != "" && !f.lost && !f.stuck:
		j.violated(ruleUndo, "%s is being undone after the end, and was not late", step)
	case j.reversing && j.end == "" && !f.stuck:
		for name, other := range j.facts {
			if other.undoing || other.stuck || name != step && other.happened() && j.saga.Undoes(name) && !f.lost && (other.lost || other.ended > f.ended) {
				j.violated(ruleOrder, "%s is being undone before %s", step, name)
			}
		}
	}
	j.retried = ""
	f.undoing, f.stuck = true, false
}

func (j *judge) intervened(e sagas.Intervened) {
	switch e.Act {
	case sagas.Cancel:
		if j.closed() {
			j.violated(ruleCloses, "it is cancelled when that is over")
		}
		j.cancelled = true
	case sagas.Retry:
		j.retried = e.Step
	case sagas.Skip:
		f := j.fact(e.Step)
		switch {
		case f.open:
			f.open, f.skipped = false, true
		case f.undoing, f.stuck:
			f.undoing, f.stuck, f.undone = false, false, true
		default:
			j.violated(ruleUndo, "%s is skipped, and was not open", e.Step)
		}
	}
}

func (j *judge) noOpen() {
	for name, f := range j.facts {
		if f.open {
			j.violated(ruleNoOpen, "%s is open", name)
		}
	}
}

func (j *judge) ended(e sagas.Ended) {
	if j.end != "" {
		j.violated(ruleOnce, "it has ended before")
	}
	j.end = e.Status
	j.noOpen()
	want := sagas.Completed
	switch {
	case e.Status == sagas.Terminated:
		return
	case j.cancelled:
		want = sagas.Cancelled
	case j.reversing:
		want = sagas.Failed
	}
	if e.Status != want {
		j.violated(ruleStatus, "it ends %s, want %s", e.Status, want)
	}
	for name, f := range j.facts {
		if !j.saga.Undoes(name) {
			continue
		}
		switch {
		case f.undoing || f.stuck || want != sagas.Completed && f.happened():
			j.violated(ruleAllUndo, "%s is not: %+v", name, *f)
		case f.lost && f.happened():
			j.violated(ruleLate, "%s is not undone: %+v", name, *f)
		}
	}
}

// checkState judges the instance after an input.
func (j *judge) checkState() {
	open, undoing, stuck := false, false, false
	for _, f := range j.facts {
		open, undoing, stuck = open || f.open, undoing || f.undoing, stuck || f.stuck
	}
	want := sagas.Running
	switch {
	case j.end != "":
		want = j.end
	case !j.started:
		want = sagas.Waiting
	case stuck:
		want = sagas.Stuck
	case j.cancelled || j.reversing:
		want = sagas.Compensating
	}
	if j.i.Status != want {
		j.violated(ruleStatus, "it is %s, want %s", j.i.Status, want)
	}
	if j.started && j.end == "" && !open && !undoing && !stuck {
		j.violated(ruleProgress, "no step is open, and none is being undone")
	}
	for name, f := range j.facts {
		s, _ := j.i.Step(name)
		if (s.Status == sagas.Open) != f.open || (s.Status == sagas.Undoing) != f.undoing || (s.Status == sagas.Undone) != f.undone || (s.Status == sagas.NotUndone) != f.stuck {
			j.violated(ruleFold, "%s is %s: %+v", name, s.Status, *f)
		}
		// What came too late when all is over is being undone, or is behind what is.
		if j.end != "" && j.end != sagas.Terminated && f.lost && f.happened() && j.saga.Undoes(name) && !undoing && !stuck {
			j.violated(ruleLate, "%s is not being undone: %+v", name, *f)
		}
	}
}

// finish judges a run as a whole.
func (j *judge) finish() {
	for _, p := range j.past {
		if !bytes.Equal(p.text, textOf(p.i)) {
			j.violated(ruleWrites, "the instance was\n%s and is\n%s", p.text, textOf(p.i))
		}
	}
	var anew sagas.Instance
	for _, e := range j.events {
		anew = e.Evolve(anew)
	}
	if !bytes.Equal(textOf(anew), textOf(j.i)) {
		j.violated(ruleFold, "the instance is\n%s, from the events it is\n%s", textOf(j.i), textOf(anew))
	}
}

// undone returns the steps that are undone, in the order of that.
func undone(events []sagas.Event) (steps []string) {
	for _, e := range events {
		if e, ok := e.(sagas.Compensated); ok && !slices.Contains(steps, e.Step) {
			steps = append(steps, e.Step)
		}
	}
	return steps
}
