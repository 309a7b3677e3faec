// Package httpapi serves commands and read models over HTTP: one place for
// what all routes share. It knows nothing of any domain.
//
// An API is made with New. Command registers a route that runs a command, Read one that answers a
// query; Commands adds the route that all commands share, for one or many of them, and Run runs
// them in Go; AddCheck adds a condition for being ready. Serve runs it and stops it without cutting
// off a command. GET / lists the routes.
//
// Every route but those that are Public asks Config.Actor who sends the request.
//
// Every command route
//
//   - decodes its body strictly: one JSON object, UTF-8, nothing unknown, twice,
//     null, out of range or too deep, at most Config.MaxBody bytes;
//   - takes an Idempotency-Key, which is that of Config.Actor for one command on
//     one id. The first answer of the domain, success or refusal, is kept in the
//     transaction of the events and repeated byte for byte; another request under
//     the same key is 422, one that comes while the first still runs in this
//     process 409;
//   - takes If-Match with the ETag of an earlier answer, and If-None-Match: *;
//   - gives every event correlation, causation and trace;
//   - answers {"stream","version","position"}, ETag and Consistency-Token;
//   - with ?dry_run=1 answers the events that it would append.
//
// Every read route takes that token, in a header or as ?consistency=, and waits
// until its read model is as far: as long as Prefer: wait=2 says. Query
// parameters that it does not know are refused, since a misspelt filter would
// answer another question. Lists are pages with a cursor.
//
// Every error is a problem of RFC 9457 with a code, a hint and a type that
// opens a page of the server itself; see Kind. Errors of the domain become 422,
// or what the table Config.Problems says. Faults of the server are logged with
// their cause and answered without it.
//
// What net/http refuses before any handler runs, such as a request line that is
// no HTTP, is answered by it in plain text.
package httpapi
