// Package tokens keeps the bearer tokens of an App in the database of its log, as hashes, and knows principals by them.
// What is done with tokens is told by events in AuditStream, in the transaction that does it.
package tokens
