// Package scaffold writes the beginnings of a service on package app: a new one, and aggregates, events,
// commands and projections of one that is there. What it writes is formatted and compiles, and is its
// owner's from then on: nothing is written twice or over what is there.
package scaffold
