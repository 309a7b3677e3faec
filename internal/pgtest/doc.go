// Package pgtest gives tests real PostgreSQL databases.
//
// New gives each test a migrated database of its own, cloned from a template in some 20 ms, so
// that tests run in parallel and none sees another's rows, locks or notifications. The server
// behind it is the one that $RECOUNT_TEST_DATABASE_URL names (`make test` starts one for all
// packages), else one of this test process, started by the first test that needs it.
//
// A test that ends while somebody is still connected to its database fails, and so does a package
// whose tests leave goroutines behind, if it has
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// which also stops the server and removes its files at once; without it both end with the process.
// A test that kills connections of others, or the server itself, takes a private one: NewServer.
package pgtest
