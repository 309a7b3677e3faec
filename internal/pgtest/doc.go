// Package pgtest gives tests real PostgreSQL databases.
//
// New gives each test a migrated database of its own, cloned from a template in some 20 ms, so
// that tests run in parallel and none sees another's rows, locks or notifications. The server
// behind it is the one that $RECOUNT_TEST_DATABASE_URL names (`make test` starts one for all
// packages), else one of this test process, started by the first test that needs it. It ends
// with the process; a package that wants it gone and its files removed at once has
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// A test that kills connections of others, or the server itself, takes a private one: NewServer.
package pgtest
