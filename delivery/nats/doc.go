// Package nats delivers events to NATS JetStream. A program that has it among its app.App.Targets links the client of NATS.
package nats
