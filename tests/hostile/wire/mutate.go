package wire

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
	apply func(*Luck, *Call) bool
	// wants are the answers that are right then; none: those of the call itself.
	wants []Want
}

func on(status int, codes ...string) (wants []Want) {
	for _, code := range codes {
		wants = append(wants, Want{status, code})
	}
	return wants
}

// mutations are all of them.
var mutations = slices.Concat(bodyMutations, byteMutations, headerMutations, targetMutations)

// Mutate makes a call nearly valid by one mutation, and says what must be answered then. It reports
// whether there is something in the call to mutate, by the mutation that was chosen.
func (l *Luck) Mutate(c *Call) bool { return Pick(l, mutations).mutate(l, c) }

// mutate applies a mutation to a call, and says what must be answered then.
func (m mutation) mutate(l *Luck, c *Call) bool {
	if !m.apply(l, c) {
		return false
	}
	c.How = append(c.How, m.name)
	if c.Unmodelled {
		c.Done = nil // it may be a call of something else now
		return true
	}
	if m.wants == nil {
		return true
	}
	was := c.Wants
	c.Wants, c.Done = m.wants, nil
	if len(was) > 0 && was[0].isBeforeTheDomain() && slices.ContainsFunc(m.wants, Want.isOfTheDomain) {
		c.Wants = append(slices.Clone(m.wants), was...)
	}
	return true
}

// isBeforeTheDomain reports whether an answer is given before the rules of the
// shop are asked: what is to be changed is not there, or is not as it was.
func (w Want) isBeforeTheDomain() bool {
	return w.Status == http.StatusPreconditionFailed || w.Status == http.StatusNotFound
}

// isOfTheDomain reports whether it takes the rules of the shop to answer so.
func (w Want) isOfTheDomain() bool { return w.Status == http.StatusUnprocessableEntity }

// IsCommand reports whether a call appends to the log: only such ones take
// preconditions and keys.
func IsCommand(c *Call) bool {
	return c.Method == "POST" && !c.isOfEngine()
}

// hasBody reports whether a call has one that is read.
func hasBody(c *Call) bool { return c.Method == "POST" && c.Tree != nil }

// isOfEngine reports whether a call is about what every service has: projections, subscriptions, and what is done to them or comes of them.
func (c *Call) isOfEngine() bool {
	return slices.ContainsFunc([]string{"projections", "operations", "subscriptions", "webhooks", "windows", "routes"}, func(resource string) bool {
		return strings.Contains(c.Route, " /v1/"+resource)
	})
}

// takes reports whether the route has a parameter.
func (c *Call) takes(parameter string) bool { return slices.Contains(c.Parameters, parameter) }
