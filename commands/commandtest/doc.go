// Package commandtest tests the rules of an aggregate without any store: given
// events that happened, when a command comes, then it causes these events, or is
// refused.
//
//	commandtest.Given[order.Order, order.Event](t, order.Placed{…}).
//		When(order.Ship{…}).
//		ThenError(order.ErrTransition)
//
// On the way it checks what package commands relies on: Evolve leaves the state
// and the event that it is given alone, and Decide the state and the command. A
// write into a map, slice or pointer of theirs fails the test, and so does an
// append into the spare capacity of a slice, which goes unnoticed until two
// states share the slice. For this each Evolve and Decide runs twice, once on
// copies whose slices all have spare capacity.
package commandtest
