package shop

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// change is what a command does to a stream, if it is accepted.
type change struct {
	status int
	// stream is its name, "" if the server is to choose the id of a new one.
	stream string
	// version is the one that it will have.
	version int64
	apply   func(wire.Ack)
}

// accepted says that a call will be accepted. It may add a precondition, which
// may be one that does not hold.
func (w *world) accepted(c wire.Call, ch change) wire.Call {
	c.Wants = []wire.Want{{Status: ch.status}}
	c.Done = func(a wire.Answer) error {
		k, err := wire.ReadAck(a)
		if err != nil {
			return err
		}
		if k.Version != ch.version || ch.stream != "" && k.Stream != ch.stream {
			return fmt.Errorf("the answer is of version %d of stream %q, want %d of %q", k.Version, k.Stream, ch.version, ch.stream)
		}
		w.token = k.Token
		ch.apply(k)
		return nil
	}
	if ch.stream != "" && w.Chance(3) {
		c = w.withPrecondition(c, ch.version-1)
	}
	if c.Wants[0].Status < 300 && w.Chance(20) {
		return dry(c, ch)
	}
	if c.Wants[0].Status < 300 && len(c.Header) == 0 && w.Chance(20) {
		return byTheSharedRoute(c, ch)
	}
	return w.withKey(c)
}

// dry makes a command that would be accepted a dry run: it answers with events of its stream, and
// changes nothing.
func dry(c wire.Call, ch change) wire.Call {
	c.Target += "?" + dryRun + "=1"
	c.Wants = []wire.Want{{Status: 200}}
	c.Done = func(a wire.Answer) error {
		var planned struct {
			Events []struct {
				Stream        string          `json:"stream"`
				Type          string          `json:"type"`
				SchemaVersion int             `json:"schema_version"`
				Data          json.RawMessage `json:"data"`
			} `json:"events"`
		}
		if err := wire.DecodeStrictly(a.Body, &planned); err != nil {
			return err
		}
		if len(planned.Events) == 0 || ch.stream != "" && planned.Events[0].Stream != ch.stream || a.Header.Get("ETag") != "" {
			return fmt.Errorf("the dry run is answered with %q, want events of %q", a.Body, ch.stream)
		}
		return nil
	}
	return c
}

const dryRun = "dry_run"

// byTheSharedRoute sends a command that will be accepted to the route of all commands.
func byTheSharedRoute(c wire.Call, ch change) wire.Call {
	category, id, _ := strings.Cut(ch.stream, "-")
	name := path.Base(c.Target)
	switch c.Route {
	case "POST /v1/orders":
		category, name = "order", "place"
	case "POST /v1/returns":
		category, name = "return", "accept"
	}
	body := wire.Members("type", category+"."+name)
	if id != "" {
		body.Add("id", id)
	}
	if c.Tree != nil {
		body.Add("data", c.Tree)
	}
	c.Route, c.Target, c.Tree = "POST /v1/commands", "/v1/commands", body
	c.Unmodelled = true
	done := c.Done
	c.Done = func(a wire.Answer) error {
		if k, err := wire.ReadAck(a); err == nil && (k.ID == "" || !strings.HasSuffix(k.Stream, "-"+k.ID)) {
			return fmt.Errorf("the answer is of id %q and stream %q", k.ID, k.Stream)
		}
		return done(a)
	}
	return c
}

// withPrecondition adds a precondition on a stream that is at a version, -1 if
// there is none.
func (w *world) withPrecondition(c wire.Call, version int64) wire.Call {
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
	c.Set(chosen.name, chosen.value)
	if chosen.holds {
		return c
	}
	c = c.Refused(412, "precondition-failed")
	c.Done = func(a wire.Answer) error {
		p, err := wire.ReadProblem(a)
		if err == nil && (p.Actual == nil || *p.Actual != version) {
			err = fmt.Errorf("the problem has no actual version %d", version)
		}
		return err
	}
	return c
}

// keptCall is a command whose answer the server has to give again.
type keptCall struct {
	wire.Call
	first wire.Answer
}

const maxKept = 50

// withKey may add an idempotency key, under which the answer will be kept
// unless it is one of a precondition.
func (w *world) withKey(c wire.Call) wire.Call {
	if !w.Chance(4) {
		return c
	}
	c.Set("Idempotency-Key", w.key())
	if c.Wants[0].Status == 412 {
		return c
	}
	// What was sent, before a mutation gets hold of it.
	sent, done := c.Clone(), c.Done
	c.Done = func(a wire.Answer) error {
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
	n := w.Number()
	if w.Chance(2) {
		return fmt.Sprintf("%s/%d", w.Name, n)
	}
	return fmt.Sprintf(`"%s %d"`, w.Name, n)
}

func (w *world) keep(k keptCall) {
	if len(w.kept) == maxKept {
		w.kept = slices.Delete(w.kept, 0, 1)
	}
	w.kept = append(w.kept, k)
}

// again sends a command a second time, which must change nothing, or another one
// under its key, which must be refused.
func (w *world) again() (wire.Call, bool) {
	if len(w.kept) == 0 {
		return wire.Call{}, false
	}
	kept := pick(w, w.kept)
	if w.Chance(4) {
		c := kept.Clone()
		c.Done, c.How = nil, append(c.How, "another body under a known key")
		c.AtAnotherTime()
		return c.Refused(422, "idempotency-key-reused"), true
	}
	return kept.repeat(), true
}

// repeat sends a command again, which must be answered as before.
func (k keptCall) repeat() wire.Call {
	c := k.Clone()
	c.How = append(c.How, "sent again")
	c.Wants = k.Wants[:1]
	c.Done = func(a wire.Answer) error {
		if string(a.Body) != string(k.first.Body) {
			return fmt.Errorf("the answer is %q, the first one was %q", a.Body, k.first.Body)
		}
		for _, name := range []string{"ETag", "Location", "Consistency-Token"} {
			if a.Header.Get(name) != k.first.Header.Get(name) {
				return fmt.Errorf("the header %s is %q, that of the first answer was %q", name, a.Header.Get(name), k.first.Header.Get(name))
			}
		}
		if a.Header.Get("Idempotency-Replayed") != "true" {
			return fmt.Errorf("the answer does not say that it is a replay")
		}
		return nil
	}
	return c
}
