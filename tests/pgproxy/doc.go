// Package pgproxy stands between a client and PostgreSQL and breaks connections
// where it hurts most: around COMMIT. It reads the frontend/backend protocol
// (PostgreSQL documentation, chapter "Frontend/Backend Protocol", version 3.0)
// as far as it must to see a COMMIT pass, by name, in a prepared statement or
// in a simple query. Tests use it to produce the outcomes that a client cannot
// tell apart.
package pgproxy
