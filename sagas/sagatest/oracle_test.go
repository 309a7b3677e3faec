package sagatest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/57528e99/recount/sagas"
)

// part is a part of a definition, from which both the saga is made and what should become of it.
type part struct {
	kind, name string
	ways       [][]part
	undo       bool
	// enough is of a quorum, atOnce and tolerated are of an each.
	enough, atOnce, tolerated int
	// codes are those of catches, empty: all; code is that of a fail.
	codes [][]string
	code  string
}

func (p part) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", p.kind, p.name)
	switch {
	case p.undo:
		b.WriteString(" undo")
	case p.kind == "quorum":
		fmt.Fprintf(&b, " %d", p.enough)
	case p.kind == "each":
		fmt.Fprintf(&b, " at once %d tolerated %d", p.atOnce, p.tolerated)
	case p.kind == "fail":
		b.WriteString(" " + p.code)
	}
	for i, way := range p.ways {
		if p.kind == "try" && i > 0 {
			fmt.Fprintf(&b, " catch %q", p.codes[i-1])
		}
		fmt.Fprintf(&b, " %v", way)
	}
	return b.String()
}

// reached is how far a part should have come.
type reached int

const (
	pending reached = iota
	finished
	broken
	left
)

// oracle says from the facts how far parts should have come, and what should be undone.
type oracle struct {
	*judge
	// left are the steps that nobody needs any more: what was done of them is undone, of those of which it is false only what was lost.
	left map[string]bool
}

const (
	ruleSequence = "a step begins when those before it are done"
	ruleCause    = "the first failure says how it goes on"
	ruleAtOnce   = "no more items are under way than may be"
	ruleFails    = "what cannot succeed fails, and what is done is completed"
)

// look compares an instance with what it should be.
func look(j *judge, root []part) {
	if !j.started || j.end == sagas.Terminated {
		return
	}
	o := &oracle{j, make(map[string]bool)}
	p, cause := o.sequence(root, "")
	undoing := false
	for name, f := range j.facts {
		all, isLeft := o.left[name]
		if undoing = undoing || f.undoing || f.stuck; !j.cancelled && !j.reversing && (f.undoing || f.stuck || f.undone) && (!isLeft || !all && !f.lost) {
			j.violated(ruleKept, "%s is not to be undone: %+v", name, *f)
		}
		if isLeft && j.end == sagas.Completed && j.saga.Undoes(name) && (all && f.happened() || f.lost && f.happened()) && !f.undoing && !f.stuck && !undoingOther(j, name) {
			j.violated(ruleKept, "%s is to be undone: %+v", name, *f)
		}
	}
	switch {
	case j.cancelled:
	case j.reversing:
		if p != broken || j.i.Code != j.facts[cause].code {
			j.violated(ruleCause, "it fails with code %q, and is %d with %s", j.i.Code, p, cause)
		}
	case j.end != "":
		if p != finished {
			j.violated(ruleFails, "it is %s, and is %d with %s", j.end, p, cause)
		}
	case p == broken, p == finished && !undoing:
		j.violated(ruleFails, "it is %s, and is %d with %s", j.i.Status, p, cause)
	}
}

// undoingOther: after the end one step is undone after another.
func undoingOther(j *judge, step string) bool {
	for name, f := range j.facts {
		if name != step && (f.undoing || f.stuck) {
			return true
		}
	}
	return false
}

func (o *oracle) sequence(s []part, suffix string) (reached, string) {
	for at, p := range s {
		if is, cause := o.part(p, suffix); is != finished {
			o.notBegun(s[at+1:], suffix)
			return is, cause
		}
	}
	return finished, ""
}

func (o *oracle) part(p part, suffix string) (reached, string) {
	name := p.name + suffix
	f := o.facts[name]
	switch p.kind {
	case "quorum":
		return o.ways(p.ways, func(int) string { return suffix }, p.enough, true)
	case "try":
		is, cause := o.sequence(p.ways[0], suffix)
		catch := slices.IndexFunc(p.codes, func(codes []string) bool {
			return is == broken && (len(codes) == 0 || slices.Contains(codes, o.facts[cause].code))
		})
		switch {
		case f == nil && catch >= 0:
			o.notBegunAll(p.ways[1:], suffix)
			return pending, ""
		case f == nil:
			o.notBegunAll(p.ways[1:], suffix)
			return is, cause
		case f.branch != catch:
			o.violated(ruleCause, "%s catches %d, want %d: %s failed first", name, f.branch, catch, cause)
		}
		o.leave(p.ways[0], suffix, false)
		return o.sequence(p.ways[1+catch], suffix)
	}
	switch {
	case f == nil:
		o.notBegunAll(p.ways, suffix)
		return pending, ""
	case p.kind == "choose" && f.branch >= 0:
		for i, way := range p.ways {
			if i != f.branch {
				o.notBegun(way, suffix)
			}
		}
		return o.sequence(p.ways[f.branch], suffix)
	case p.kind == "each":
		under := 0
		ways := make([][]part, f.branch)
		for i := range f.branch {
			if ways[i] = p.ways[0]; o.isOpen(ways[i], fmt.Sprintf("%s[%d]", suffix, i)) {
				under++
			}
		}
		if under > p.atOnce && p.atOnce > 0 {
			o.violated(ruleAtOnce, "of %s %d", name, under)
		}
		return o.ways(ways, func(i int) string { return suffix + "[" + strconv.Itoa(i) + "]" }, f.branch-p.tolerated, false)
	case f.done || f.skipped:
		return finished, ""
	case f.open:
		return pending, ""
	case f.dropped:
		return left, name
	}
	return broken, name
}

func (o *oracle) ways(ways [][]part, suffix func(int) string, enough int, drops bool) (reached, string) {
	done, failed, open, cause, dropped := 0, 0, false, "", ""
	var others []int
	for i, way := range ways {
		is, step := o.sequence(way, suffix(i))
		switch is {
		case finished:
			done++
			continue
		case left:
			dropped = step
		case broken:
			failed++
			if cause == "" || o.facts[step].ended < o.facts[cause].ended {
				cause = step
			}
		}
		others = append(others, i)
		open = open || o.isOpen(way, suffix(i))
	}
	switch {
	case done >= enough && (drops || done+failed == len(ways)):
		for _, i := range others {
			o.leave(ways[i], suffix(i), true)
		}
		return finished, ""
	case failed > len(ways)-enough && !open:
		return broken, cause
	case failed <= len(ways)-enough && dropped != "":
		return left, dropped
	}
	return pending, ""
}

// steps calls do for all steps that were begun of parts, inside of the items with a suffix.
func (o *oracle) steps(s []part, suffix string, do func(name string, f *fact)) {
	for _, p := range s {
		for name, f := range o.facts {
			if of, at, _ := strings.Cut(name, "["); of == p.name && strings.HasPrefix("["+at, suffix) {
				do(name, f)
			}
		}
		for _, way := range p.ways {
			o.steps(way, suffix, do)
		}
	}
}

func (o *oracle) leave(s []part, suffix string, all bool) {
	o.steps(s, suffix, func(name string, _ *fact) { o.left[name] = o.left[name] || all })
}

func (o *oracle) isOpen(s []part, suffix string) (open bool) {
	o.steps(s, suffix, func(_ string, f *fact) { open = open || f.open })
	return open
}

func (o *oracle) notBegun(s []part, suffix string) {
	o.steps(s, suffix, func(name string, _ *fact) { o.violated(ruleSequence, "%s has begun", name) })
}

func (o *oracle) notBegunAll(ways [][]part, suffix string) {
	for _, way := range ways {
		o.notBegun(way, suffix)
	}
}
