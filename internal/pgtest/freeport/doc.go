// Package freeport reserves local addresses for programs that are told where to listen, and for
// servers that are to come back where they were.
//
// A port that somebody has listened on and left can be given to the next one who asks for any, so
// that the server it was meant for finds it taken. On Linux a reserved one is given to nobody: a
// socket is bound to it that does not listen, beside which another may be bound as long as both
// allow it, as those of Go and of PostgreSQL do. Whoever connects meanwhile is refused. Elsewhere a
// port is only looked for.
package freeport
