package delivery

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/failpoint"
)

const (
	// moveInterval is how often the partitions move in which something matched, idleInterval how often the others.
	moveInterval = 100 * time.Millisecond
	idleInterval = 10 * time.Second
	// moveShare bounds which part of the time moves take: one waits for so many times the last, and not longer than
	// longestInterval: one that waited for a lock says nothing about the next.
	moveShare       = 50
	longestInterval = time.Second
	// urgentShare is moveShare when a partition has a lot to move: until then it reads no more.
	urgentShare = 10
	// urgentEvents is from how many settled events on a partition does not wait for the next move, blockedEvents from how
	// many on nobody does, as it is about to read no more before it has moved.
	urgentEvents  = 1000
	blockedEvents = windowSize / 4
	// reportInterval is how often a partition that moves tells operators what only its owner knows; one that does not
	// move tells what has changed, and goes on to say what keeps it after retellInterval.
	reportInterval = time.Second
	retellInterval = 5 * time.Second
	// stuckTold is how many attempts that do not return operators are told of.
	stuckTold = 10
	// moveTimeout bounds a statement that moves cursors.
	moveTimeout = 30 * time.Second
	// attemptsAtOnce is how many attempts are written down in a statement.
	attemptsAtOnce = 5000
)

// handover has what one goroutine puts there for another.
type handover[T any] struct {
	mu   sync.Mutex
	list []T
}

func (h *handover[T]) add(one T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, one)
}

func (h *handover[T]) take() []T {
	h.mu.Lock()
	defer h.mu.Unlock()
	taken := h.list
	h.list = nil
	return taken
}

func (h *handover[T]) isEmpty() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.list) == 0
}

// queueMove lets the mover look at the partition. The caller holds mu.
func (p *partition) queueMove() {
	p.of.stir()
	if !p.queued {
		p.queued = true
		p.of.runner.dirty.add(p)
	}
	pending := p.core.Pending()
	if pending >= urgentEvents {
		p.of.runner.moveNow()
	}
	if pending >= blockedEvents {
		background.Wake(p.of.runner.blocked)
	}
}

// moveNow makes the mover look as soon as it may.
func (r *Runner) moveNow() { background.Wake(r.moving) }

// made is a move, and the same as core knows it.
type made struct {
	move
	p    *partition
	core core.Move
}

// moveLoop moves cursors until ctx is done.
func (r *Runner) moveLoop(ctx context.Context) {
	var pending []made
	var took time.Duration
	idleAt, toldAt := time.Now(), time.Now()
	backoff := background.Backoff{}
	wait := moveInterval
	for ctx.Err() == nil {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-r.moving:
			// Not more often than their share allows, unless one cannot go on.
			timer.Reset(min(urgentShare*took, moveInterval))
			select {
			case <-timer.C:
			case <-r.blocked:
			case <-ctx.Done():
			}
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
		begun := time.Now()
		if begun.Sub(idleAt) >= idleInterval {
			idleAt = begun
			r.queueIdle()
		}
		pending = r.collect(pending, begun)
		err := r.send(ctx, &pending)
		if err == nil {
			err = r.writeAttempts(ctx)
		}
		if err == nil && begun.Sub(toldAt) >= reportInterval {
			toldAt = begun
			err = r.tellAll(ctx, begun)
		}
		took = time.Since(begun)
		if r.counts.seen(took, err); err != nil && ctx.Err() == nil {
			pause := backoff.Next()
			r.config.Logger.Warn().Err(err).Dur("pause", pause).Msg("moving cursors was interrupted")
			background.Sleep(ctx, pause)
			continue
		}
		backoff.Reset()
		wait = max(moveInterval, min(moveShare*took, longestInterval))
	}
}

// queueIdle lets all partitions move to where the log was read without anything for them.
func (r *Runner) queueIdle() {
	for _, s := range r.allRunning() {
		for _, p := range s.all() {
			if passed := s.feed.passed(p.queue); passed > 0 {
				p.offer(nil, 0, passed)
			}
			p.rereads.forget()
			p.mu.Lock()
			p.core.Trim()
			p.queueMove()
			p.mu.Unlock()
		}
	}
}

// collect adds the moves of partitions that have one to those that could not be sent yet.
func (r *Runner) collect(pending []made, now time.Time) []made {
	for _, p := range r.dirty.take() {
		if m, ok := p.takeMove(now); ok {
			pending = append(pending, m)
		}
	}
	return pending
}

// takeMove returns the move that the partition has to make.
func (p *partition) takeMove(now time.Time) (made, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queued = false
	if p.gone {
		return made{}, false
	}
	return p.makeMove(now)
}

// makeMove is takeMove for who holds mu.
func (p *partition) makeMove(now time.Time) (made, bool) {
	m, ok := p.core.Move()
	if !ok {
		return made{}, false
	}
	p.moving = true
	d := made{p: p, core: m, move: move{owned: p.owned, Number: int64(p.core.Moves()), From: m.From, To: m.To, Put: m.Put, Remove: m.Remove, Matched: m.Matched, Delivered: m.Delivered}}
	if m.Matched > 0 {
		d.LastEventAt = p.lastEventAt
	}
	if len(p.wished) > 0 {
		d.Done, p.wished = p.wished, make(map[int64]wish)
	}
	p.tell(&d.move, now)
	return d, true
}

// tellAll tells operators about the partitions that do not move.
func (r *Runner) tellAll(ctx context.Context, now time.Time) error {
	var all []told
	for _, s := range r.stirred.take() {
		s.stirred.Store(false)
		breaker := s.breaker.Status()
		s.alertBreaker(&breaker)
		for _, p := range s.all() {
			p.mu.Lock()
			status := p.core.Status()
			trouble := p.troubles(&status, &breaker, now)
			due := trouble != p.trouble || p.idle(&status) != p.toldIdle || p.passedChanges() > p.toldRead ||
				now.Sub(p.reportedAt) >= retellInterval && (trouble != "" || status.InFlight > 0)
			if due && !p.gone && !p.moving {
				p.reportedAt, p.trouble = now, trouble
				all = append(all, told{owned: p.owned, Trouble: trouble, Report: p.report(&status, &breaker, now)})
			}
			if !p.isStill(p.idle(&status)) {
				s.stir()
			}
			p.mu.Unlock()
		}
	}
	if len(all) == 0 {
		return nil
	}
	return r.records.tell(ctx, all)
}

// tell says in a move what only the owner knows. The caller holds mu.
func (p *partition) tell(m *move, now time.Time) {
	status, breaker := p.core.Status(), p.of.breaker.Status()
	m.Trouble = p.troubles(&status, &breaker, now)
	if now.Sub(p.reportedAt) < reportInterval && m.Trouble == p.trouble {
		return
	}
	p.reportedAt, p.trouble = now, m.Trouble
	m.Report = p.report(&status, &breaker, now)
}

// idle reports whether nothing that matches lies between the cursor and the end of the log that the process has read. The
// caller holds mu.
func (p *partition) idle(status *core.Status) bool {
	return status.Window == 0 && p.queue != nil && p.queue.by.Load() == head
}

// passedChanges returns up to where it has read changes that do not match; 0: it reads the log, of which its member says so
// for all. The caller holds mu.
func (p *partition) passedChanges() int64 {
	if p.of.definition.Source.Changes == nil {
		return 0
	}
	return max(p.of.feed.passed(p.queue), 0)
}

// report returns what operators are told. The caller holds mu.
func (p *partition) report(status *core.Status, breaker *core.BreakerStatus, now time.Time) *report {
	p.toldIdle = p.idle(status)
	r := &report{Read: status.Read, Idle: p.toldIdle, InFlight: status.InFlight,
		Rate: p.rate.see(now, status.Cursor), Full: p.core.Full()}
	r.Read = max(r.Read, p.passedChanges())
	p.toldRead = r.Read
	if !status.OldestInFlight.IsZero() {
		r.Oldest = new(status.OldestInFlight.UTC())
	}
	if breaker.Open {
		r.Breaker, r.NextProbe = new("open"), new(breaker.NextProbe.UTC())
	}
	if breaker.ThrottledUntil.After(now) {
		r.Throttled = new(breaker.ThrottledUntil.UTC())
	}
	if status.Stuck > 0 {
		all := p.overdueLocked(now)
		r.Stuck = all[:min(len(all), stuckTold)]
	}
	return r
}

// troubles says what keeps the partition from getting on; empty: nothing does. The caller holds mu.
func (p *partition) troubles(status *core.Status, breaker *core.BreakerStatus, now time.Time) string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if breaker.Open {
		add("the target is taken for down since %s", breaker.Since.UTC().Format(time.RFC3339))
	}
	if breaker.ThrottledUntil.After(now) {
		add("the target takes nothing until %s", breaker.ThrottledUntil.UTC().Format(time.RFC3339))
	}
	if status.Full {
		add("full: it has %d events that are parked and reads no more", status.Parked)
	}
	if status.Stuck > 0 {
		add("%s", stuckText(p.overdueLocked(now)))
		if p.core.NoSlots() {
			add("it can make no other attempt")
		}
	}
	return strings.Join(all, "; ")
}

// send makes the moves that are pending in one statement, and empties the list. After an error they may have been made
// or not, and are made again.
func (r *Runner) send(ctx context.Context, pending *[]made) error {
	var moves []move
	kept := (*pending)[:0]
	for _, m := range *pending {
		if !m.p.isGone() {
			kept, moves = append(kept, m), append(moves, m.move)
		}
	}
	*pending = kept
	if len(moves) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	refused, err := r.records.move(ctx, *r.log.Load(), moves)
	if err != nil {
		return err
	}
	failpoint.HitIn(ctx, failpoint.DeliverMoved)
	lost := make(map[partitionKey]bool, len(refused))
	for _, k := range refused {
		lost[k] = true
	}
	for _, m := range kept {
		m.p.moved(m, !lost[m.partitionKey])
	}
	clear(kept)
	*pending = kept[:0]
	return nil
}

// moved takes what became of a move.
func (p *partition) moved(m made, ok bool) {
	p.mu.Lock()
	p.core.Moved(m.core, ok)
	p.moving = false
	if p.core.Pending() > 0 {
		p.queueMove()
	}
	leaves := p.leaving != "" || p.readTo > 0
	p.mu.Unlock()
	if !ok {
		p.of.runner.lost(p)
		return
	}
	p.of.alertRows(m.core.Put)
	if leaves {
		p.of.runner.look()
	}
	if p.of.tx != nil {
		p.pump(false)
	}
	p.mu.Lock()
	p.settled()
}

func (p *partition) isGone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// endedInTx takes what became of an attempt, and returns the move to make in its transaction; false: there is none, and nothing
// to commit.
func (p *partition) endedInTx(a *core.Attempt, results []core.Result) (made, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.flights, a)
	now := time.Now()
	p.core.Ended(now, a, results)
	if p.gone {
		return made{}, false
	}
	return p.makeMove(now)
}

// writeAttempts writes attempts down.
func (r *Runner) writeAttempts(ctx context.Context) error {
	for {
		list := r.attemptLog.take(attemptsAtOnce)
		if len(list) == 0 {
			return nil
		}
		if err := r.records.recordAttempts(ctx, r.process, list); err != nil {
			r.attemptLog.putBack(list)
			return err
		}
	}
}
