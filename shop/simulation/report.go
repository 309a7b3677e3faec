package simulation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/57528e99/recount/domain/order"
)

// Report is what has become of the orders of a run.
type Report struct {
	// After is how long it has lasted.
	After time.Duration
	// Placed are all orders; those of the others are where they have come to.
	Placed, Waiting, Confirmed, Shipped, Completed int64
	// ByCustomer, Declined, SoldOut and Otherwise are cancelled orders, by why.
	ByCustomer, Declined, SoldOut, Otherwise int64
	Returns, Supplies                        int64
	// TurnedAway are orders that were not begun, for the shop was busy with as many commands as it is sent at once.
	TurnedAway int64
	// Errors are commands and reads of the log that failed and were tried again, LastError is the last of them.
	Errors    int64
	LastError string
}

// String is a line for people.
func (r Report) String() string {
	text := fmt.Sprintf("%d orders in %s: %d completed, %d shipped, %d confirmed, %d under way; %d cancelled by customers, %d declined, %d sold out, %d given up otherwise; %d returns, %d supplies",
		r.Placed, r.After.Round(time.Second), r.Completed, r.Shipped, r.Confirmed, r.Waiting, r.ByCustomer, r.Declined, r.SoldOut, r.Otherwise, r.Returns, r.Supplies)
	if r.TurnedAway > 0 {
		text += fmt.Sprintf("; %d orders were not begun, as the shop was busy", r.TurnedAway)
	}
	if r.Errors > 0 {
		text += fmt.Sprintf("; %d commands were tried again: %.200s", r.Errors, r.LastError)
	}
	return text
}

func (w *world) count(change func(*Report)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.counts)
}

func (w *world) report() Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.counts
	r.After = time.Since(w.began)
	return r
}

func (w *world) reportEvery(ctx context.Context) {
	ticks := time.NewTicker(w.Every)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			w.Report(w.report())
		case <-ctx.Done():
			return
		}
	}
}

// becomes counts that an order has another status.
func (r *Report) becomes(before, status order.Status, reason string) {
	at := func(s order.Status) *int64 {
		switch s {
		case order.StatusPlaced:
			return &r.Waiting
		case order.StatusConfirmed:
			return &r.Confirmed
		case order.StatusShipped:
			return &r.Shipped
		case order.StatusCompleted:
			return &r.Completed
		}
		switch {
		case reason == changedMind:
			return &r.ByCustomer
		case strings.Contains(reason, "declined"):
			return &r.Declined
		case strings.Contains(reason, "cannot reserve"):
			return &r.SoldOut
		}
		return &r.Otherwise
	}
	if before == "" {
		r.Placed++
	} else {
		*at(before)--
	}
	*at(status)++
}
