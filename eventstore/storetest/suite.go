package storetest

import (
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
)

// T is what a clause needs of a *testing.T. It is an interface so that the
// suite's own tests can watch a clause fail.
type T interface {
	rapid.TB
	Context() context.Context
	Cleanup(func())
}

// Run tests the store that newStore makes. NewStore is called once for each
// clause and must return an empty log each time, with the default limits; it
// cleans up with t.Cleanup. Clauses run in parallel. What each of them did is
// judged as a whole at its end, if the store declares Features.GaplessLog.
func Run(t *testing.T, newStore func(t *testing.T) eventstore.Store) {
	for _, c := range clauses() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			if !c.needs.declared(s) {
				t.Skipf("not declared: %s", c.needs.name)
			}
			f := &fixture{T: t, Store: s, Recorder: new(logcheck.Recorder)}
			c.run(f)
			f.judge()
		})
	}
}

// clause is one promise of the contract.
type clause struct {
	name  string
	needs ability
	run   func(*fixture)
}

// ability is something that not every store can do.
type ability struct {
	name     string
	declared func(eventstore.Store) bool
}

var (
	always      = ability{"", func(eventstore.Store) bool { return true }}
	multiStream = ability{"Features.MultiStreamAppend", func(s eventstore.Store) bool { return s.Features().MultiStreamAppend }}
	receipts    = ability{"Features.Receipts", func(s eventstore.Store) bool { return s.Features().Receipts }}
	gapless     = ability{"Features.GaplessLog", func(s eventstore.Store) bool { return s.Features().GaplessLog }}
	management  = ability{"Features.StreamManagement", func(s eventstore.Store) bool { return s.Features().StreamManagement }}
	contents    = ability{"Features.Contents", func(s eventstore.Store) bool { return s.Features().Contents }}
	closing     = ability{"a method Close(context.Context) error", func(s eventstore.Store) bool { _, ok := s.(closer); return ok }}
)

func (a ability) and(b ability) ability {
	return ability{a.name + " and " + b.name, func(s eventstore.Store) bool { return a.declared(s) && b.declared(s) }}
}

// closer is what a store has that must be closed.
type closer interface {
	Close(context.Context) error
}

func clauses() []clause {
	return slices.Concat(
		featureClauses, appendClauses, contentClauses, invalidClauses, idempotencyClauses,
		readStreamClauses, readAllClauses, tokenClauses, filterClauses, contentsClauses, subscribeClauses, followClauses,
		metadataClauses, deleteClauses, tombstoneClauses, receiptClauses, receiptKeyClauses,
		multiStreamClauses, concurrencyClauses, modelClauses,
	)
}
