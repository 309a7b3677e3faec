// Package simulation lets a shop live: customers order, change their minds and send goods back, a warehouse sends parcels of which some are lost, and
// suppliers deliver what is about to run out, not always in time.
//
// All of it is done by the shop's own commands, and nobody knows more than the log says: who starts it again, whatever has happened meanwhile, goes on
// with the orders of earlier runs. What is ordered and what becomes of it depend on the seed and the number of the order alone; the ids differ from
// run to run.
package simulation
