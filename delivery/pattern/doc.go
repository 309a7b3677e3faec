// Package pattern has the filters of subscriptions: patterns in the grammar of Amazon EventBridge,
// and a matcher that finds those of many that an event matches. It does no I/O, and needs nothing
// but the standard library.
//
// A pattern is a JSON object of the shape of the events that it is for:
//
//	{"type": ["OrderPlaced"], "data": {"total_minor": [{"numeric": [">=", 100000]}]}}
//
// Each field of it has an array of alternatives, of which one must match; all fields must match.
// The event is the one that is delivered, an envelope with the members position, stream, category,
// version, id, type, schema_version, recorded_at, metadata and data. Package users give it as an
// Event, so that nobody has to write JSON to have it matched.
//
// The rules that are not obvious:
//
//   - A field matches if one of its values does, where arrays are on the way to it. All fields that
//     lead through one array must match in the same element of it.
//   - A field whose value is an object or an empty array, or that is in no element that the other
//     fields match in, is absent: {"exists": false} is true of it.
//   - A number is an IEEE 754 double: 300, 300.0 and 3e2 are equal, and so are integers beyond 2^53
//     that have the same double. A number is never equal to a string.
//   - Of a key that an object has twice the last value counts, as for jsonb and encoding/json.
//   - Data that are no JSON, no UTF-8 or nested deeper than 128 levels match no clause about data,
//     not even that something does not exist; no data at all are absent. So with metadata.
//
// A Matcher is built around access predicates: each alternative of a pattern is filed under the one
// of its fields that the fewest others share, in a table of equal values, prefixes, suffixes, ranges
// or address blocks. An event is scanned once, for the fields that any pattern names; what its values
// find in the tables is checked whole. So the time depends on the event and on what matches in part,
// not on how many patterns there are, and there is no automaton whose size could explode.
package pattern
