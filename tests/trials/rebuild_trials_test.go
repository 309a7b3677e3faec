package trials

import (
	"context"
	"sync"
	"time"

	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// rebuilt rebuilds a projection while others append and read.
func rebuilt(w *world) {
	s := w.open()
	end := w.deposits(s, 300, 7)
	r := w.start(w.runner())
	if !w.comesTo(end.Position) {
		return
	}
	ctx, cancel := context.WithCancel(w.Context())
	var others sync.WaitGroup
	others.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			if _, err := w.append(s, "writer", depositTo(n%9), nil); err != nil {
				w.Errorf("append during the rebuild: %v", err)
				return
			}
		}
	})
	others.Go(func() { w.watch(ctx) })
	operation, err := r.Run(w.Context(), operations.Request{Kind: projections.Rebuild, Subject: "balances", Actor: "trial"}, nil)
	cancel()
	others.Wait()
	w.want(w.rule != ruleRebuilt || err == nil, "the rebuild ended as %s: %v", operation.State, err)
	end = w.deposits(s, 20, 9)
	if w.comesTo(end.Position) {
		w.judgeRows()
	}
}

// replaced rebuilds a projection when a process is about to run the generation that served so far.
func replaced(w *world) {
	s := w.open()
	w.deposits(s, 50, 7)
	w.start(w.runner())
	_, err := w.runner().Run(w.Context(), operations.Request{Kind: projections.Rebuild, Subject: "balances", Actor: "trial"}, nil)
	w.must(err)
	end := w.deposits(s, 20, 9)
	if w.comesTo(end.Position) {
		w.judgeRows()
	}
}

// watch reads the sum of all rows over and over: deposits only add to it.
func (w *world) watch(ctx context.Context) {
	most := int64(0)
	for tick := time.NewTicker(time.Millisecond); ctx.Err() == nil; <-tick.C {
		var sum int64
		err := w.db.Pool.QueryRow(context.WithoutCancel(ctx), `SELECT coalesce(sum(balance), 0)::bigint FROM recount.balances`).Scan(&sum)
		if err != nil {
			w.Errorf("read the rows: %v", err)
			return
		}
		if sum < most {
			w.caught(logcheck.Violation{Rule: ruleMonotone, Text: "rows that were shown are gone"})
			return
		}
		most = sum
	}
}
