package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
)

// loop goes on until nobody has used the queue for a while.
func (q *pullQueue) loop() {
	b := q.b
	used := time.Now()
	backoff := background.Backoff{Shortest: 10 * time.Millisecond, Longest: time.Second}
	for {
		busy, again, err := q.step(b.hard)
		now := time.Now()
		if busy {
			used = now
		}
		pause := q.nextLook(now)
		switch {
		case err != nil && b.hard.Err() == nil:
			pause = backoff.Next()
			b.config.Logger.Warn().Err(err).Str("subscription", q.name).Dur("pause", pause).Msg("handing out events was interrupted")
		case again:
			pause = 0
		default:
			backoff.Reset()
		}
		if idle := now.Sub(used) > pullLinger || b.soft.Err() != nil || b.hard.Err() != nil; idle && q.end(err != nil) {
			return
		}
		if pause > 0 {
			q.pause(b.hard, pause, err != nil)
		}
	}
}

// pause waits, unless there is something to do. After an error nothing is, for a time.
func (q *pullQueue) pause(ctx context.Context, d time.Duration, deaf bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	wake := q.wake
	if deaf {
		wake = nil
	}
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// nextLook returns how long there is nothing to do unless somebody wakes it.
func (q *pullQueue) nextLook(now time.Time) time.Duration {
	next := q.b.every - now.Sub(q.sweptAt)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, call := range q.pulls {
		next = min(next, call.deadline.Sub(now))
	}
	return max(next, time.Millisecond)
}

// end ends the loop if nobody uses the queue, and reports whether it did. What is not noted gets a last try.
func (q *pullQueue) end(failed bool) bool {
	q.mu.Lock()
	used := len(q.pulls)+len(q.settles) > 0
	q.mu.Unlock()
	if used && q.b.hard.Err() == nil {
		return false
	}
	if !failed {
		q.sweptAt = time.Time{}
		if _, err := q.sweep(q.b.hard); err != nil && q.b.hard.Err() == nil {
			q.b.config.Logger.Warn().Err(err).Str("subscription", q.name).Msg("what callers did could not be noted")
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.b.hard.Err() != nil {
		q.answerAll(errBrokerStopped)
	}
	if len(q.pulls)+len(q.settles) > 0 {
		return false
	}
	q.looping = false
	return true
}

// answerAll answers everybody with an error. The caller holds mu.
func (q *pullQueue) answerAll(err error) {
	for _, call := range q.pulls {
		call.answer(nil, err)
	}
	for _, call := range q.settles {
		call.err = err
		close(call.done)
	}
	q.pulls, q.settles = nil, nil
}

// answer gives a caller its answer, and reports whether it was still there.
func (c *pullCall) answer(rows []pulledRow, err error) bool {
	if !c.state.CompareAndSwap(pullWaits, pullAnswered) {
		return false
	}
	c.rows, c.err = rows, err
	close(c.done)
	return true
}

// take returns who waits: who says something of events, and who wants some. The latter wait on until they are answered.
func (q *pullQueue) take() (settles []*settleCall, pulls []*pullCall) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for len(q.settles) > 0 && (n == 0 || n+len(q.settles[0].items) <= itemsAtOnce) {
		n += len(q.settles[0].items)
		settles = append(settles, q.settles[0])
		q.settles = q.settles[1:]
	}
	q.pulls = unanswered(q.pulls)
	want := 0
	for _, c := range q.pulls {
		if want += c.options.Max; len(pulls) > 0 && want > asksAtOnce {
			break
		}
		pulls = append(pulls, c)
	}
	return settles, pulls
}

// step does what there is to do. It reports whether anybody wanted something, and whether there is more to do at once.
func (q *pullQueue) step(ctx context.Context) (busy, again bool, err error) {
	settles, pulls := q.take()
	busy = len(settles)+len(pulls) > 0
	select {
	case q.b.slots <- struct{}{}:
		defer func() { <-q.b.slots }()
	case <-ctx.Done():
		answerSettles(settles, errBrokerStopped)
		return busy, false, ctx.Err()
	}
	// What is due comes before what is ready: nobody may have used the queue for long.
	if _, err := q.sweep(ctx); err != nil {
		q.fail(pulls, err)
		answerSettles(settles, err)
		return busy, false, err
	}
	// Somebody may have woken it for what is new alone.
	fresh := slices.ContainsFunc(pulls, func(c *pullCall) bool { return !c.asked })
	if busy && (fresh || len(settles) > 0 || time.Since(q.servedAt) >= q.b.every) {
		if err := q.serve(ctx, settles, pulls); err != nil {
			return busy, false, err
		}
	}
	if !q.feed.Named && busy {
		q.b.forget(q)
		q.mu.Lock()
		defer q.mu.Unlock()
		q.answerAll(errQueueGone)
		return busy, false, nil
	}
	freed, err := q.sweep(ctx) // if it was not known before where the feed is
	if err != nil {
		q.fail(pulls, err)
		return busy, false, err
	}
	if err := q.redefine(ctx); err != nil {
		q.fail(pulls, err)
		return busy, false, err
	}
	if pulls = unanswered(pulls); len(pulls) > 0 && !freed {
		if again, err = q.fill(ctx, pulls); err != nil {
			q.fail(pulls, err)
			return busy, false, err
		}
	}
	now := time.Now()
	if again || freed {
		now = now.Add(-pullReadOn)
	}
	q.endWaits(now)
	q.mu.Lock()
	defer q.mu.Unlock()
	return busy, again || freed || len(q.settles) > 0, nil
}

func unanswered(pulls []*pullCall) []*pullCall {
	return slices.DeleteFunc(pulls, func(c *pullCall) bool { return c.state.Load() != pullWaits })
}

// endWaits answers those with nothing who have waited for long enough.
func (q *pullQueue) endWaits(now time.Time) {
	ending := q.b.ending.Load()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range q.pulls {
		if ending || !now.Before(c.deadline) {
			c.answer(nil, nil)
		}
	}
}

// answerSettles answers callers who said something of events; nil: it was done.
func answerSettles(settles []*settleCall, err error) {
	for _, call := range settles {
		call.err = err
		close(call.done)
	}
}

// fail answers callers with an error.
func (q *pullQueue) fail(pulls []*pullCall, err error) {
	for _, c := range pulls {
		c.answer(nil, err)
	}
}

// serve does what callers say of events, and hands out what is ready.
func (q *pullQueue) serve(ctx context.Context, settles []*settleCall, pulls []*pullCall) error {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	var items []*pullItem
	for _, call := range settles {
		for _, it := range call.items {
			if it.op == opExtend && it.lease == 0 {
				it.lease = time.Duration(q.definition.Target.Pull.Lease)
			}
			items = append(items, it)
		}
	}
	var asks []*pullAsk
	if q.away == nil {
		asks = q.asks(pulls)
	}
	q.servedAt = time.Now()
	feed, err := q.b.records.settle(ctx, &q.rules, items, asks, &q.evidence)
	answerSettles(settles, err)
	if err != nil {
		q.fail(pulls, err)
		return err
	}
	q.saw(feed)
	q.told(items)
	q.hand(pulls, asks)
	return nil
}

// saw notes how the feed is.
func (q *pullQueue) saw(feed pullFeed) {
	if was := &q.feed; feed.Epoch != was.Epoch || feed.Current != was.Current || feed.Log != was.Log || feed.Incarnation != was.Incarnation {
		q.passed = 0
	}
	if was := &q.feed; feed.Epoch != was.Epoch || feed.Log != was.Log || feed.Incarnation != was.Incarnation {
		q.recent.clear()
	}
	q.feed, q.passed = feed, max(q.passed, feed.Filled)
}

// asks returns what callers want: those that want it for as long share one, unless they get several events of a key.
func (q *pullQueue) asks(pulls []*pullCall) []*pullAsk {
	var asks []*pullAsk
	for _, c := range pulls {
		lease := c.options.Lease
		if lease == 0 {
			lease = time.Duration(q.definition.Target.Pull.Lease)
		}
		i := -1
		if q.rules.perKey == 1 {
			i = slices.IndexFunc(asks, func(a *pullAsk) bool { return a.lease == lease })
		}
		if i < 0 {
			i, asks = len(asks), append(asks, &pullAsk{lease: lease})
		}
		asks[i].max += c.options.Max
		c.ask, c.asked = asks[i], true
	}
	return asks
}

// hand hands out what callers got together, to the first as much as it wants. What a caller got that has left is given back.
func (q *pullQueue) hand(pulls []*pullCall, asks []*pullAsk) {
	if len(asks) == 0 {
		return
	}
	for _, c := range pulls {
		n := min(c.options.Max, len(c.ask.rows))
		if n == 0 {
			continue
		}
		rows := c.ask.rows[:n:n]
		c.ask.rows = c.ask.rows[n:]
		if c.state.Load() == pullWaits {
			c.log, c.store = q.feed.Log, q.store
		}
		if !c.answer(rows, nil) {
			q.release(&pullCall{rows: rows}, 0)
		}
	}
}

// head returns the end of the source as far as it is known; nil: it is not. The end of a change feed is looked for.
func (q *pullQueue) head(ctx context.Context) (*eventstore.Token, error) {
	if q.definition.Source.Changes == nil {
		return q.b.head.Load(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	head, err := q.store.Head(ctx)
	return &head, err
}

// look reads the feed again.
func (q *pullQueue) look(ctx context.Context) error {
	feed, err := q.b.records.settle(ctx, &q.rules, nil, nil, &q.evidence)
	if err == nil {
		q.saw(feed)
	}
	return err
}

// sweep sweeps if it is time, and reports whether more may be had since.
func (q *pullQueue) sweep(ctx context.Context) (freed bool, err error) {
	now := time.Now()
	if now.Sub(q.sweptAt) < q.b.every || q.feed.Log == (pullFeed{}).Log {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	notes := pullNotes{Delivered: q.delivered, Evidence: q.evidence, Feed: q.feed, Passed: q.passed, Every: q.b.every, MaxLive: q.definition.MaxParked}
	s, err := q.b.records.sweepPulled(ctx, &q.rules, &notes)
	if errors.Is(err, errNotHome) {
		q.away = err
	}
	if err != nil {
		return false, err
	}
	q.away, q.sweptAt = nil, now
	if s.noted {
		q.delivered = 0
	}
	q.saw(s.feed)
	q.evidence.add(s.feed.Evidence)
	// Reading goes on when there is room for more than a few.
	q.live = s.live
	if q.full = s.live >= notes.MaxLive || q.full && s.live > notes.MaxLive/2; s.more {
		q.sweptAt = time.Time{}
	}
	q.told(s.expired)
	if s.freed {
		q.servedAt = time.Time{}
	}
	return s.freed, q.writeAttempts(ctx)
}
