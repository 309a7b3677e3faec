// Package delivery sends the events of the log to those who react to them, each at least once, in order
// per key, for as long as it takes.
//
// A subscription (Definition) is a durable consumer: which events, from where on, in which order, to which
// target. Its events are dealt to partitions by the hash of their key. A process that delivers (Runner)
// has some of the partitions of all subscriptions that it can run; if it dies, others take them. The owner
// of a partition reads the log, delivers, and moves the cursor behind what is done, a few times a second.
// What fails is parked: a row with the event's position, and those of later events of its key, so that one
// event that cannot be delivered holds back only its own key. It is tried again, at growing intervals,
// until it is delivered or a dead letter.
//
// A target that is down is told from an event that is poison by whether events of other keys get through
// meanwhile: an outage parks little, and kills nothing.
package delivery
