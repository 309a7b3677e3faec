// Package archive keeps events in files, and reads them again: it is a target of subscriptions (delivery.ArchiveTarget), and Archive is
// for those who want the events back. docs/recipes/archive.md has what operators need to know.
//
// The events of an attempt are a file, a segment: lines of JSON, compressed with zstd. The first line says whose segment it is and which was
// written before it; each other is an event as delivery.Event.AppendLine writes it, in order of position. A segment never changes. Its name says
// what is in it, and its SHA-256:
//
//	archive.json                                 who writes here, and up to when events may have been removed
//	LOG/INCARNATION/PARTITION/last.json          the segment that was written last
//	LOG/INCARNATION/PARTITION/FIRST-LAST-….zst   segments, by the position of their first event
//
// An attempt has succeeded when its segment and last.json are safe. A process that dies in between, or
// before its cursor has moved, leaves a segment whose events come again: alike, then it is the same file, or together with others, then both
// are there, and reading gives each event once.
package archive
