// Package layers has no code, only the test that keeps the packages of this
// module in their layers: each imports lower ones only, the engine knows nothing
// of the shop, the driver of the database stays where tables are owned, and
// command lines are said by programs.
package layers
