// Package pgembed runs a PostgreSQL server as a child of this process: the built-in database of
// `recount dev`, and the server of the tests.
//
// It brings no binaries. It finds the ones of the machine or of the cache that
// scripts/postgres.sh fills, makes a data directory on first use, and starts the server on a
// unix socket inside that directory, which only its owner can reach; so local connections need
// no password. A TCP port on the loopback address is opened on request only, and asks for one.
//
// PostgreSQL refuses to run as root. A root process therefore runs it as the owner of the data
// directory, or as postgres or nobody, where those can reach the directory; elsewhere in a user
// namespace, where root is an ordinary user.
//
// On Linux the server dies with this process, however that ends. A data directory has one user
// at a time: a second Start reports which process holds it, and Find gives the address of the
// running server.
package pgembed
