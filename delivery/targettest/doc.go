// Package targettest is the suite that every target of package delivery passes: what delivery.Target
// promises, as clauses that can fail.
//
//	func TestTarget(t *testing.T) {
//		targettest.Run(t, func(t *testing.T) *targettest.Fixture { return openTarget(t) })
//	}
//
// A target is tested together with what stands behind it, a receiver: a server, a store, a function. The
// Fixture tells what has come there, and has it answer as the clause wants. What a kind of target has no way to
// say the Fixture leaves out, and the clauses about it are skipped.
//
// The suite is tested itself: for each clause there is a planted fault that only a failing clause can reveal.
package targettest
