// Package apptest runs an App in tests: New in memory, within microseconds, and Postgres on a
// database of its own, with everything. The same steps do in both.
//
//	x := apptest.New(t, bank)
//	err := x.Do("account.open", "ada", account.Open{Owner: "Ada"})
//	row, found := apptest.Row(x, balances, "ada")
//	answer := x.Request("GET", "/v1/accounts/ada", "")
//
// In memory there are commands, units, routes, and the rows of folds. Statements in SQL,
// projections of other kinds, and the routes for operators need PostgreSQL. Nothing runs beside the
// test in memory, so it may be in a bubble of testing/synctest, where time stands still.
package apptest
