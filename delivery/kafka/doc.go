// Package kafka delivers events to Kafka, and to what speaks its protocol. A program that has it among its app.App.Targets links the client
// of Kafka.
package kafka
