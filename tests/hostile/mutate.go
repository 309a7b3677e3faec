package hostile

import (
	"net/http"
	"slices"
	"strings"
)

// mutation makes something wrong with a call, or merely unusual.
type mutation struct {
	name string
	// apply changes a call and reports whether it could. It may not yet be
	// sealed, and is sealed if the mutation is one of its bytes.
	apply func(*world, *call) bool
	// wants are the answers that are right then; none: those of the call itself.
	wants []want
}

func on(status int, codes ...string) (wants []want) {
	for _, code := range codes {
		wants = append(wants, want{status, code})
	}
	return wants
}

// mutations are all of them.
var mutations = slices.Concat(bodyMutations, byteMutations, headerMutations, targetMutations)

// mutate applies a mutation to a call, and says what must be answered then.
func (m mutation) mutate(w *world, c *call) bool {
	if !m.apply(w, c) {
		return false
	}
	c.how = append(c.how, m.name)
	if c.unmodelled {
		c.done = nil // it may be a call of something else now
		return true
	}
	if m.wants == nil {
		return true
	}
	was := c.wants
	c.wants, c.done = m.wants, nil
	if len(was) > 0 && was[0].isBeforeTheDomain() && slices.ContainsFunc(m.wants, want.isOfTheDomain) {
		c.wants = append(slices.Clone(m.wants), was...)
	}
	return true
}

// isBeforeTheDomain reports whether an answer is given before the rules of the
// shop are asked: what is to be changed is not there, or is not as it was.
func (w want) isBeforeTheDomain() bool {
	return w.status == http.StatusPreconditionFailed || w.status == http.StatusNotFound
}

// isOfTheDomain reports whether it takes the rules of the shop to answer so.
func (w want) isOfTheDomain() bool { return w.status == http.StatusUnprocessableEntity }

// isCommand reports whether a call appends to the log: only such ones take
// preconditions and keys.
func isCommand(c *call) bool {
	return c.method == "POST" && !strings.Contains(c.route, "/projections/")
}

// hasBody reports whether a call has one that is read.
func hasBody(c *call) bool { return c.method == "POST" && c.tree != nil }
