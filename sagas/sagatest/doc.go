// Package sagatest tests definitions of sagas, without a database and without a clock.
//
// A Scenario has an instance go one way: inputs come in the order of its calls, and its Then methods check what is asked for, what is undone and how it
// ends. Explore has instances go many ways at random, in orders that nobody would think of, and checks the rules of package sagas, and yours.
// Both decide by Saga.Decide, as an Engine does.
package sagatest
