package app

import (
	"context"
	"fmt"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/httpapi"
)

// Unit is a command on several streams: what it writes to all of them is there, or nothing.
type Unit struct {
	spec commandSpec
	path string
	run  func(*commands.Unit, *Commands, any) error
}

// Across says that C is a command that decide decides over several streams, at POST path. Decide
// asks aggregates for states with Get, and gives them events with Put; what it has asked for has
// not changed when its events are written. Its error refuses the command. It is called several
// times, and must do nothing else: see commands.Units. A unit has an id if C has a field tagged
// app:"id", as for Create: an idempotency key is for that id, and the answer has it as "id".
func Across[C any](name, path string, decide func(*Tx, C) error, options ...CommandOption) Unit {
	spec := newCommandSpec[C](name, options)
	spec.noLocation, spec.makesID = true, true
	return Unit{spec, path, func(u *commands.Unit, c *Commands, command any) error {
		return decide(&Tx{u, c}, command.(C))
	}}
}

// Tx is what a decision over several streams asks and gives. It is for that decision alone.
type Tx struct {
	unit     *commands.Unit
	commands *Commands
}

// Get returns the state of a stream, and its version: -1, with the zero state, if there is none.
// After an error, which ends the command, it returns nothing but that.
func (a *AggregateOf[S, E]) Get(tx *Tx, id string) (state S, version int64) {
	h := a.handler(tx)
	if h == nil {
		return state, -1
	}
	return h.Get(tx.unit, id)
}

// Put adds events to a stream.
func (a *AggregateOf[S, E]) Put(tx *Tx, id string, events ...E) {
	if h := a.handler(tx); h != nil {
		h.Put(tx.unit, id, events...)
	}
}

// handler returns the aggregate's handler; nil, and the unit fails, if the App has none.
func (a *AggregateOf[S, E]) handler(tx *Tx) *commands.Handler[S, E] {
	b, ok := tx.commands.byCategory[a.category].(*boundAggregate[S, E])
	if !ok {
		tx.unit.Fail(fmt.Errorf("app: a unit uses aggregate %q, which is in no module of %s", a.category, tx.commands.app.Name))
		return nil
	}
	return b.handler
}

// do runs the unit.
func (u Unit) do(ctx context.Context, c *Commands, command any, o commands.Options) (commands.Result, error) {
	return c.units.Handle(ctx, u.spec.name, func(tx *commands.Unit) error { return u.run(tx, c, command) }, o)
}

// register adds the route.
func (u Unit) register(a *httpapi.API, c *Commands) {
	o := httpapi.CommandOptions{Name: u.spec.name, Internal: u.spec.internal, OptionalBody: u.spec.optionalBody, IDMember: u.spec.idMember()}
	u.spec.route(a, u.path, o, "", func(ctx context.Context, r *Request, command any) (commands.Result, error) {
		return u.do(ctx, c, command, *r.options)
	})
}
