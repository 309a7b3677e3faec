package pgstore

import (
	"slices"
	"time"
)

// AppendObservation is one call that appends, when it is about to return.
type AppendObservation struct {
	// Events is how many were to be written.
	Events int
	// Duration is what the caller waited, the queue included.
	Duration time.Duration
	// Err is what the caller gets; nil: the append is durable.
	Err error
}

// BatchObservation is one batch of the appender, when its callers have been
// answered, or are about to be. One that the database refuses for its content
// is seen as a whole, and then once more in parts.
type BatchObservation struct {
	// Appends is how many calls share the batch.
	Appends int
	// Events and Receipts were written; fewer than asked for where some were
	// refused.
	Events, Receipts int
	// Fast says that it was written in one round trip, by what the appender
	// remembered.
	Fast bool
	// Duration is from the queue to the answers.
	Duration time.Duration
	// Unknown says that a commit was lost on the way: that a connection ended
	// before it said whether the batch was written.
	Unknown bool
	// Landed says that such a commit turned out to have happened. If it is false
	// and Err nil, the batch was written again.
	Landed bool
	// Err is what the batch as a whole ended with; nil: each append got a
	// verdict of its own.
	Err error
}

func (s *Store) observeAppend(begun time.Time, events int, err error) {
	if s.cfg.ObserveAppend != nil {
		s.cfg.ObserveAppend(AppendObservation{Events: events, Duration: time.Since(begun), Err: err})
	}
}

// observe tells of a batch that has ended: written as p, or with an error.
func (a *appender) observe(try *attempt, p *plan, err error) {
	if err != nil || !p.isEmpty() { // a verdict alone takes no space
		a.store.noteRefusal(err)
	}
	if a.store.cfg.ObserveBatch == nil {
		return
	}
	o := BatchObservation{
		Appends: len(try.requests), Fast: !try.slow, Duration: time.Since(try.begun),
		Unknown: len(try.unsettled) > 0, Err: err,
	}
	if err == nil {
		o.Events, o.Receipts = len(p.events), len(p.keys)
		o.Landed = slices.Contains(try.unsettled, p)
	}
	a.store.cfg.ObserveBatch(o)
}

// Stats are figures about a store at one moment.
type Stats struct {
	// QueuedAppends and QueuedBytes wait for the appender.
	QueuedAppends, QueuedBytes int
	// Head is the last position that this process knows the log to have.
	Head int64
	// Subscriptions are being read now.
	Subscriptions int64
	// ReceiptsPurged is how many this process has removed since it began.
	ReceiptsPurged int64
}

// Stats returns figures about the store, without asking the database.
func (s *Store) Stats() Stats {
	head, _ := s.hub.state()
	st := Stats{Head: head, Subscriptions: s.subscriptions.Load(), ReceiptsPurged: s.receiptsPurged.Load()}
	st.QueuedAppends, st.QueuedBytes = s.queue.size()
	return st
}
