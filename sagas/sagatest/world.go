package sagatest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/sagas"
)

// world is what is around an instance, and does everything in an order by chance.
type world struct {
	*judge
	rng *rand.Rand
	id  string
	// changes are those of the data with which a step is done, codes those with which it may fail.
	changes func(step string) map[string]json.RawMessage
	codes   func(step string) []string
	// message returns a message of a type, or of any; false: none of it ever comes.
	message func(typeOf string) (sagas.Input, bool)
	begin   func() sagas.Input
	// calls were made, and are not known to have ended.
	calls []call
	// given are inputs that had an effect: they may come again.
	given []sagas.Input
	// after is called after each input that changed something.
	after func()
	// terminates: somebody may.
	terminates bool
}

type call struct {
	step   string
	number int64
}

func (w *world) uuid() (id uuid.UUID) {
	binary.LittleEndian.PutUint64(id[:8], w.rng.Uint64())
	binary.LittleEndian.PutUint64(id[8:], w.rng.Uint64())
	return id
}

func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

// put gives the instance an input.
func (w *world) put(in sagas.Input) bool {
	n, err := w.input(in)
	if err != nil && !errors.Is(err, sagas.ErrOver) {
		w.violated(ruleDecides, "%#v: %v", in, err)
	}
	if n == 0 {
		return false
	}
	w.given = append(w.given, in)
	if w.chance(10) { // as after a restart
		var again sagas.Instance
		if err := json.Unmarshal(textOf(w.i), &again); err != nil {
			w.violated(ruleFold, "the instance as JSON: %v", err)
		}
		w.i = again
	}
	if w.after != nil {
		w.after()
	}
	return true
}

// pending returns what is to be done, and notes calls that are made.
func (w *world) pending() []sagas.Pending {
	all, err := w.saga.Pending(w.i)
	if err != nil {
		w.violated(ruleAsks, "%v", err)
	}
	for _, p := range all {
		c := call{p.Name, p.Number}
		if (p.Kind == "call" || p.Kind == "answer") && !slices.Contains(w.calls, c) {
			w.calls = append(w.calls, c)
		}
	}
	return all
}

// live lets so many things happen.
func (w *world) live(things int) {
	if w.chance(15) {
		w.tell("")
	}
	w.put(w.begin())
	for range things {
		pending := w.pending()
		switch at := w.rng.IntN(100); {
		case at < 65 && len(pending) > 0:
			w.finishStep(pending[w.rng.IntN(len(pending))], false)
		case at < 75:
			w.lateCall(pending)
		case at < 85:
			w.again()
		case at < 92:
			w.tell("")
		case at < 95:
			w.operate(pending)
		case at < 97:
			w.act(sagas.Cancel, "")
		case at < 98 && w.terminates:
			w.act(sagas.Terminate, "")
		default:
			w.now = w.now.Add(time.Duration(w.rng.IntN(100)) * time.Minute)
		}
	}
}

func (w *world) act(act sagas.Act, step string) {
	w.put(sagas.Intervene{Intervened: sagas.Intervened{Act: act, Step: step, Actor: "somebody", Reason: "for a reason"}})
}

func (w *world) tell(typeOf string) bool {
	in, ok := w.message(typeOf)
	return ok && w.put(in)
}

// finishStep ends a step, or its undoing; well: as it should be.
func (w *world) finishStep(p sagas.Pending, well bool) {
	done := sagas.Complete{Step: p.Name, Number: p.Number}
	if p.Status == sagas.Open {
		done.Changes = w.changes(p.Name)
	}
	at := w.rng.IntN(100)
	switch {
	case p.Kind == "wait", p.Kind == "receive" && !p.Until.IsZero() && (at < 30 || well && !w.tell(p.Type)):
		w.timeUp(p)
	case p.Kind == "receive" && !well:
		w.tell(p.Type)
	case p.Kind == "receive":
	case well || at < 70:
		w.put(done)
	case p.Kind == "command":
		w.put(sagas.Fail{Step: p.Name, Number: p.Number, Code: sagas.CodeRejected, Reason: "the rules say no"})
	case at < 80:
		codes := append([]string{"broken"}, w.codes(p.Name)...)
		w.put(sagas.Fail{Step: p.Name, Number: p.Number, Code: codes[w.rng.IntN(len(codes))], Reason: "it is broken"})
	case at < 90:
		w.put(sagas.Fail{Step: p.Name, Number: p.Number, Code: sagas.CodeExhausted, Reason: "10 attempts failed", Unknown: true})
	default:
		w.timeUp(p)
	}
}

func (w *world) timeUp(p sagas.Pending) {
	in := sagas.TimeUp{Step: p.Name, Number: p.Number}
	if w.now.Before(p.Until) {
		if n, _ := w.input(in); n > 0 {
			w.violated(ruleTwice, "the time of %s is up before %v", p.Name, p.Until)
		}
		w.now = p.Until
	}
	w.put(in)
}

// lateCall ends a call that nobody may wait for any more.
func (w *world) lateCall(pending []sagas.Pending) {
	if len(w.calls) == 0 {
		return
	}
	at := w.rng.IntN(len(w.calls))
	c := w.calls[at]
	if slices.ContainsFunc(pending, func(p sagas.Pending) bool { return c == call{p.Name, p.Number} }) {
		return
	}
	in := sagas.Input(sagas.Fail{Step: c.step, Number: c.number, Code: sagas.CodeExhausted, Reason: "it was tried before a crash", Unknown: true})
	f := w.facts[c.step]
	isOver := f.done || f.undoing || f.undone || f.stuck || f.skipped || f.late > 0
	recorded := !isOver && f.dropped && !f.lost
	if w.chance(50) {
		w.calls = slices.Delete(w.calls, at, at+1)
		in, recorded = sagas.Complete{Step: c.step, Number: c.number, Changes: w.changes(c.step)}, !isOver
	}
	if !w.put(in) && recorded {
		w.violated(ruleLate, "%s is not recorded: %#v", c.step, in)
	}
}

// again gives the instance an input that it has had.
func (w *world) again() {
	if len(w.given) == 0 {
		return
	}
	in := w.given[w.rng.IntN(len(w.given))]
	if _, is := in.(sagas.Intervene); is { // somebody may want it again
		return
	}
	if n, _ := w.input(in); n > 0 {
		w.violated(ruleTwice, "%#v has %d events", in, n)
	}
}

// operate lets somebody help with what cannot be undone, or skip something.
func (w *world) operate(pending []sagas.Pending) {
	for _, s := range w.i.Steps {
		if s.Status == sagas.NotUndone {
			act := sagas.Retry
			if w.chance(30) {
				act = sagas.Skip
			}
			w.act(act, s.Name)
			return
		}
	}
	if len(pending) > 0 && w.chance(60) {
		act := sagas.Answered
		if w.chance(50) {
			act = sagas.Skip
		}
		w.act(act, pending[w.rng.IntN(len(pending))].Name)
	}
}

// settle ends everything well that is still to be ended, and sees that all comes to its end.
func (w *world) settle() {
	for range 10_000 {
		pending := w.pending()
		before := len(w.events)
		for _, s := range w.i.Steps {
			if s.Status == sagas.NotUndone {
				w.act(sagas.Retry, s.Name)
			}
		}
		for _, p := range pending {
			w.finishStep(p, true)
		}
		for range w.calls {
			w.lateCall(pending)
		}
		if len(w.events) > before {
			continue
		}
		if len(pending) == 0 {
			break
		}
		w.act(sagas.Cancel, "") // it waits for an event that never comes
	}
	if !w.i.Status.IsEnd() {
		w.violated(ruleEnds, "it is %s, and nothing happens any more", w.i.Status)
	}
	if left := w.pending(); len(left) > 0 {
		w.violated(ruleEnds, "it is %s, and %s is %s", w.i.Status, left[0].Name, left[0].Status)
	}
	w.finish()
}
