// Package simulator has a payment gateway that takes no money. It keeps the rules
// of one, and meets the faults that a Plan says.
//
// It remembers what it did by idempotency key, so a test can compare what it has
// captured with what the log has. What happens to a request depends on the request
// and on how often it was made, not on when others are: the same seed meets the
// same faults, however requests interleave. No time passes in it and it has no
// goroutines: answers that come later are given by Deliver.
//
// It forgets nothing, and nothing of what it did is lost with the process if
// Config.Keep writes it down.
package simulator
