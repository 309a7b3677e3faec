// Package work is the processes of a chaos run that use Recount as its users do:
// writers that append, readers that follow the log, projectors that run a
// projection, clients of the HTTP API. Each is a process of its own, does what
// its seed says, and writes down what it asked and what it was told before it
// goes on, so that it can be killed at any moment and started again.
//
// All of them go on until SIGTERM, whatever is broken around them; then they
// finish, look for what they left behind, and end with exit code 0, or 1 if
// there is something.
package work
