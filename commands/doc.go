// Package commands turns a request into events: it loads the state of one
// stream, asks the command to decide, appends what it decided, and answers.
// Units do the same for decisions over several streams.
//
// An aggregate is a state type S, its events, each with an Evolve method that
// says what it does to the state, and its commands, each with a Decide method
// that says which events it causes, or refuses. All of them are plain, pure Go;
// only Handler does work that can fail for other reasons than a rule.
//
// What Handler promises:
//
//   - Events are appended only to the very version of the stream that they
//     were decided from. If others wrote in between, the command is decided
//     again from the newer state, Config.Retries times.
//   - Commands on one stream form a queue inside the process, first come first
//     served, so they do not make each other's appends conflict.
//   - States are cached. A cached state that is out of date can cost a retry,
//     never a wrong answer: a refusal, or a decision to do nothing, is made
//     again from what the store has.
//   - A command that is a Creator is decided before its stream is read, and the
//     append finds out whether there is one. Which commands are changes no
//     outcome, only what it costs.
//   - The cached state is the one a fresh load would give: events are evolved
//     after a trip through the codec, and before they are appended. An event
//     that could not be read back is never written.
//   - With Config.Snapshots, loading begins with a snapshot, if there is one that
//     fits the stream: it is whole, of this program's schema version, and its last
//     event is in the log, in the stream's present life. Any other is ignored with
//     a warning. Whether there are snapshots changes no state, only what loading
//     costs, and whether a stream loads whose first events its metadata hides.
//   - A unit is written to all of its streams or to none, and only if none of those
//     it read has changed. Units and commands of a process wait for each other in
//     one order, so they neither conflict nor wait for ever.
//   - With Options.Receipt a request is carried out once. Sent again it gets
//     the first answer, be it a success or a refusal, from any process.
//
// Decide may run several times for one command, and states are shared between
// the cache and running commands. So Decide and Evolve must be deterministic, and
// must not write into the maps, slices or pointers they are given; package
// commandtest finds such writes.
package commands
