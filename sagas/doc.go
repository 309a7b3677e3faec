// Package sagas runs processes that take several steps, over several streams and services, and undoes what they have done when one fails.
//
// A Saga is a definition: what an instance begins with, and its steps. An instance is a stream, saga-{name}-{id}: its state is a fold of its
// events, and what comes next a function of definition, state and time. Whatever comes to it is decided by Saga.Decide and appended at the version that was
// read, so of two inputs that exclude each other the first in the stream wins.
//
// An Engine has what comes to instances decided, and does their steps: it is the handler of two subscriptions for each saga, one for the events that
// instances begin with or wait for, one for the events that say that a step has begun. Retries, leases and dead letters are those of
// package delivery.
package sagas
