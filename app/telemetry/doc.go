// Package telemetry turns what the engine tells of itself into metrics for Prometheus, and serves
// them with the profiles of the process.
//
// The packages of the engine know no metrics system: they take functions to tell of a request, a
// command, an append, and have methods with figures. New makes what those functions are, Watch what
// asks the methods when the metrics are read.
//
// Every metric is in catalogue.go, with its labels and its meaning; docs/metrics.md is made from
// it. The values of a label are few and known beforehand: routes as they were registered,
// categories, projections; never a stream, an id, or anything else that a client chooses.
package telemetry
