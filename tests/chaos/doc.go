// Package chaos breaks a running Recount on purpose and checks that it kept its
// promises.
//
// A run starts a PostgreSQL, puts a proxy that understands its protocol in
// front of every client, and starts real processes: servers and importers of
// the binary recount, and workers of this harness (package work) that append,
// read, project and deliver by way of the packages that users import. What they
// deliver goes into tables, and to a hostile receiver of the harness's. For some
// time it breaks things: processes, the server, its disks, its clock, connections
// at COMMIT, notifications, the receiver. Then it heals everything, waits for the system to come
// back, and hands what the clients were told and what is in the tables to
// package logcheck. At last it restores a backup and fails over to a lagging
// standby, which may lose what was acknowledged, but not silently.
//
// What is broken, when, and for how long is a Plan, made from a seed alone: the
// same seed makes the same plan. It is not a simulation: what the processes do
// at that moment is up to the machine, so a seed repeats the attack and not
// always its effect.
//
// Run is the whole; cmd/chaos is its program.
package chaos
