// Package machine says what a report was made on: hardware, PostgreSQL with its settings, versions,
// the load before it and the command line.
package machine
