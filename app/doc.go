// Package app describes a service once, as a value, and makes of it whatever a service needs: the
// handlers of its commands, its routes, read models, snapshots and metrics. Package app/cli makes a
// program of the same value, with a server, migrations and commands for operators.
//
// An App is made of modules, a Module of aggregates, units, projections and reads. All of them are
// values that say what there is: what runs is in the Service that Open returns, so that several may
// run beside each other in one process and share nothing.
//
//	var bank = app.App{Name: "bank", Modules: []app.Module{accounts.Module()}}
//
//	func main() { cli.Main(bank) }
//
// Types are inferred from methods: what is no event or no command of an aggregate's state does not
// compile. What is left to go wrong, such as a name that is given twice, App.Check reports without
// a database.
//
// A module is returned by a function, rather than kept in a variable: what it says may then refer
// to its aggregates, and each caller has its own.
package app
