// Package logcheck says whether a log and what its users saw of it keep the
// promises of an event store. It is the judge of every test that lets things
// happen at once or breaks them on purpose.
//
// There are three kinds of evidence:
//
//   - History is what clients did and were told. A Recorder writes it, to memory
//     or to a file of JSON lines that survives the SIGKILL of its process: the
//     intent before the call, the answer after it. Load reads such files.
//   - Log is what is stored in the end, read once. It is the oracle: it settles
//     the operations whose outcome nobody was told.
//   - Numbers about what is derived from the log: rows, checkpoints, times,
//     connections.
//
// A rule is a function from evidence to violations. No violation means that the
// rule held for all of the evidence, which also means that the rules are only as
// good as what was recorded. Rules is the table of those that need a History and a
// Log; Check runs them.
//
// Rules cost time in proportion to the evidence, and memory of some 250 bytes
// for each operation and event. Each names its first violations and counts the
// others.
package logcheck
