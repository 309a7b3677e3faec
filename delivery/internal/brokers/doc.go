// Package brokers has what the targets that are message brokers have in common: how an event becomes a message, what it is published to, and
// what an attempt says when some of its events were not taken.
package brokers
