// Package rabbitmq delivers events to RabbitMQ, by AMQP 0-9-1. A program that has it among its app.App.Targets links the client of
// RabbitMQ.
package rabbitmq
