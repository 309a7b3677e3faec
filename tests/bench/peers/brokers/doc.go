// Package brokers tests, with brokers that run here, what of Recount talks to them: a NATS server in the process, kfake, which speaks the
// protocol of Kafka, and the RabbitMQ of the system, if it has one. It is in this module because those who import Recount need none of them.
package brokers
