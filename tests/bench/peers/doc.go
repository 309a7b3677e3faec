// Program bench compares Recount with other event stores on PostgreSQL; `recount bench compare`
// builds and runs it. It is in a module of its own, so that those who import Recount never download
// the libraries that it takes.
//
// Each store has a file here that says how it is used: as its own documentation does it, with a
// pool as large as everybody's, and all indexes that it makes. What is measured is in tests/bench.
package main
