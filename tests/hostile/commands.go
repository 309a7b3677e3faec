package hostile

import (
	"fmt"
	"slices"
)

// change is what a command does to a stream, if it is accepted.
type change struct {
	status int
	// stream is its name, "" if the server is to choose the id of a new one.
	stream string
	// version is the one that it will have.
	version int64
	apply   func(ack)
}

// accepted says that a call will be accepted. It may add a precondition, which
// may be one that does not hold.
func (w *world) accepted(c call, ch change) call {
	c.wants = []want{{status: ch.status}}
	c.done = func(a answer) error {
		k, err := readAck(a)
		if err != nil {
			return err
		}
		if k.Version != ch.version || ch.stream != "" && k.Stream != ch.stream {
			return fmt.Errorf("the answer is of version %d of stream %q, want %d of %q", k.Version, k.Stream, ch.version, ch.stream)
		}
		w.token = k.token
		ch.apply(k)
		return nil
	}
	if ch.stream != "" && w.chance(3) {
		c = w.withPrecondition(c, ch.version-1)
	}
	return w.withKey(c)
}

// withPrecondition adds a precondition on a stream that is at a version, -1 if
// there is none.
func (w *world) withPrecondition(c call, version int64) call {
	exists := version >= 0
	tag := fmt.Sprintf(`"%d"`, version)
	type choice struct {
		name, value string
		holds       bool
	}
	choices := []choice{{"If-None-Match", "*", !exists}, {"If-Match", "*", exists}, {"If-Match", fmt.Sprintf(`"%d"`, version+1), false}}
	if exists {
		choices = append(choices, choice{"If-Match", tag, true}, choice{"If-Match", tag, true})
	}
	chosen := pick(w, choices)
	c.set(chosen.name, chosen.value)
	if chosen.holds {
		return c
	}
	c = c.refused(412, "precondition-failed")
	c.done = func(a answer) error {
		p, err := readProblem(a)
		if err == nil && (p.Actual == nil || *p.Actual != version) {
			err = fmt.Errorf("the problem has no actual version %d", version)
		}
		return err
	}
	return c
}

// keptCall is a command whose answer the server has to give again.
type keptCall struct {
	call
	first answer
}

const maxKept = 50

// withKey may add an idempotency key, under which the answer will be kept
// unless it is one of a precondition.
func (w *world) withKey(c call) call {
	if !w.chance(4) {
		return c
	}
	c.set("Idempotency-Key", w.key())
	if c.wants[0].status == 412 {
		return c
	}
	// What was sent, before a mutation gets hold of it.
	sent, done := c.clone(), c.done
	c.done = func(a answer) error {
		if done != nil {
			if err := done(a); err != nil {
				return err
			}
		}
		w.keep(keptCall{sent, a})
		return nil
	}
	return c
}

// key returns a key that was never used, in one of the ways to write them.
func (w *world) key() string {
	w.made++
	if w.chance(2) {
		return fmt.Sprintf("%s/%d", w.name, w.made)
	}
	return fmt.Sprintf(`"%s %d"`, w.name, w.made)
}

func (w *world) keep(k keptCall) {
	if len(w.kept) == maxKept {
		w.kept = slices.Delete(w.kept, 0, 1)
	}
	w.kept = append(w.kept, k)
}

// again sends a command a second time, which must change nothing, or another one
// under its key, which must be refused.
func (w *world) again() (call, bool) {
	if len(w.kept) == 0 {
		return call{}, false
	}
	kept := pick(w, w.kept)
	if w.chance(4) {
		c := kept.clone()
		c.done, c.how = nil, append(c.how, "another body under a known key")
		anotherTime(&c)
		return c.refused(422, "idempotency-key-reused"), true
	}
	return kept.repeat(), true
}

// repeat sends a command again, which must be answered as before.
func (k keptCall) repeat() call {
	c := k.clone()
	c.how = append(c.how, "sent again")
	c.wants = k.wants[:1]
	c.done = func(a answer) error {
		if string(a.body) != string(k.first.body) {
			return fmt.Errorf("the answer is %q, the first one was %q", a.body, k.first.body)
		}
		for _, name := range []string{"ETag", "Location", "Consistency-Token"} {
			if a.header.Get(name) != k.first.header.Get(name) {
				return fmt.Errorf("the header %s is %q, that of the first answer was %q", name, a.header.Get(name), k.first.header.Get(name))
			}
		}
		if a.header.Get("Idempotency-Replayed") != "true" {
			return fmt.Errorf("the answer does not say that it is a replay")
		}
		return nil
	}
	return c
}

// anotherTime changes the business time in a body.
func anotherTime(c *call) {
	const other = "1999-12-31T23:59:59Z"
	if c.tree == nil {
		c.tree = members()
	}
	for i, m := range c.tree.members {
		if slices.Contains(timeMembers, m.name) {
			c.tree.members[i].value = other
			return
		}
	}
	c.tree.members = append(c.tree.members, member{"at", other})
}

var timeMembers = []string{"at", "placed_at", "returned_at"}
