// Package storetest is the suite that every event store passes: the contract of
// package eventstore as clauses that can fail.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) eventstore.Store { return openFreshStore(t) })
//	}
//
// A clause is a sentence and a function. Clauses about optional abilities run
// if the store declares them in Features and are skipped as "not declared"
// otherwise. No clause assumes positions without gaps unless the store declares
// Features.GaplessLog, nor versions without gaps around deletions.
//
// The suite is tested itself: for each clause there is a planted fault that
// only a failing clause can reveal.
package storetest
