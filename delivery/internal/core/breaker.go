package core

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// probesAtOnce is how many probes are made at a time, and firstProbes how many times with a pause of
	// probePause; after these the pause doubles, to maxProbePause. All are ± probeSpread.
	probesAtOnce  = 3
	firstProbes   = 10
	probePause    = time.Second
	maxProbePause = 30 * time.Second
	probeSpread   = 0.25
	// probeGrace is how long a partition leaves probes to others that have better events for them.
	probeGrace = 50 * time.Millisecond
	// unlimited is the concurrency from which on it is not limited any more.
	unlimited = 1 << 12
	// defaultThrottle is how long a target pauses that does not say for how long, maxThrottle the longest.
	defaultThrottle = time.Second
	maxThrottle     = time.Hour
)

// Breaker tells a target that is down from events that are poison, by whether events of other keys get
// through. There is one per target and process. It begins closed, with unlimited concurrency.
type Breaker struct {
	// These are read without the lock: most often nothing has changed.
	openings, closings, changes atomic.Uint64

	mu     sync.Mutex
	keys   int
	random func() float64
	// count counts what begins and what ends well, so that "after" needs no clock.
	count uint64
	// last is the last success, other the last one of another key than that.
	last, other success
	// failed are the keys that failed since the last success in an attempt of an event that was never charged.
	failed   map[string]struct{}
	inFlight int
	limit    int // of inFlight; unlimited: none

	open      bool
	openedAt  time.Time
	ticks     int // times that probes were due
	tickedAt  time.Time
	nextProbe time.Time
	slots     int // probes that may still be made of those due
	// lonely: no key was there to ask but those that failed, when it opened or when probes were due last. The first
	// other one is asked at once. Asked: another one was, since probes were due last.
	lonely, asked bool
	// refused: somebody was, because of the limit.
	refused   bool
	throttled time.Time
}

type success struct {
	key   string
	count uint64
}

// NewBreaker returns a breaker that opens when so many keys in a row have failed. Random returns a random
// number in [0, 1); it is called by one goroutine at a time.
func NewBreaker(keys int, random func() float64) *Breaker {
	return &Breaker{keys: keys, random: random, failed: make(map[string]struct{}), limit: unlimited}
}

// Changes returns another number each time that partitions may have something to do which had not: it closed,
// takes more at a time, or has a place free.
func (b *Breaker) Changes() uint64 { return b.changes.Load() }

// BreakerStatus is what a breaker tells about itself.
type BreakerStatus struct {
	Open bool
	// Since is when it opened, NextProbe when the next probes are due.
	Since, NextProbe time.Time
	// ThrottledUntil is when the target takes events again, as it said; in the past: it does.
	ThrottledUntil time.Time
	// InFlight counts attempts; Limit is how many there may be after it closed, 0: any.
	InFlight, Limit int
	// FailedKeys counts those that failed since the last success, up to the number at which it opens.
	FailedKeys int
}

// Status returns what it tells about itself.
func (b *Breaker) Status() BreakerStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := BreakerStatus{ThrottledUntil: b.throttled, InFlight: b.inFlight, FailedKeys: len(b.failed)}
	if b.limit < unlimited {
		s.Limit = b.limit
	}
	if b.open {
		s.Open, s.Since, s.NextProbe = true, b.openedAt, b.nextProbe
	}
	return s
}

// gate is what a partition may begin.
type gate uint8

const (
	gateClosed gate = iota // nothing now
	gateProbes             // probes only
	gateOpen               // anything
)

// admit returns what may begin now. (The gate is open while the breaker is closed.) If that is anything, an attempt counts as
// begun, with the count that it returns: cancel it if there is none to make.
func (b *Breaker) admit(now time.Time) (g gate, count uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case now.Before(b.throttled):
		return gateClosed, 0
	case b.open:
		return gateProbes, 0
	case b.limit < unlimited && b.inFlight >= b.limit:
		b.refused = true
		return gateClosed, 0
	}
	b.inFlight++
	b.count++
	return gateOpen, b.count
}

func (b *Breaker) cancel() { b.release(1) }

// release notes that attempts are not in flight any more of which nobody can tell how they ended.
func (b *Breaker) release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight -= n
	if b.refused && n > 0 {
		b.refused = false
		b.changes.Add(1)
	}
}

// begin notes that a probe begins, and returns the count of it.
func (b *Breaker) begin() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight++
	b.count++
	return b.count
}

func (b *Breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// mark returns a count: what ends well from now on is after it.
func (b *Breaker) mark() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	return b.count
}

// end notes that an attempt has ended, and well for two keys, of which either may be empty.
func (b *Breaker) end(now time.Time, key, another string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight--
	limited := b.limit < unlimited
	if key != "" {
		b.succeeded(key)
		if another != "" {
			b.succeeded(another)
		}
		clear(b.failed)
		switch {
		case b.open:
			b.open, b.limit = false, 1
			b.closings.Add(1)
			limited = true
		case limited:
			b.limit = min(2*b.limit, unlimited)
		}
	}
	if limited {
		b.changes.Add(1)
	}
}

func (b *Breaker) succeeded(key string) {
	b.count++
	if b.last.key != key {
		b.other = b.last
	}
	b.last = success{key, b.count}
}

// worked reports whether an attempt for another key ended well after a count.
func (b *Breaker) worked(key string, since uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.workedFor(key, since)
}

func (b *Breaker) workedFor(key string, since uint64) bool {
	if b.last.key == key {
		return b.other.count > since
	}
	return b.last.count > since
}

// failure notes that an attempt of an event that was never charged failed, and opens if it was one too many.
func (b *Breaker) failure(now time.Time, key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		return
	}
	if b.failed[key] = struct{}{}; len(b.failed) >= b.keys {
		b.opens(now, false)
	}
}

// nothingElse notes that a partition has nothing to deliver but keys that failed, one of them in an attempt with a count. It
// opens if nothing has shown since that the target works for others, and nothing is in flight that could.
func (b *Breaker) nothingElse(now time.Time, key string, since uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inFlight == 0 && !b.workedFor(key, since) {
		b.opens(now, true)
	}
}

func (b *Breaker) opens(now time.Time, lonely bool) {
	if b.open {
		return
	}
	b.open, b.openedAt, b.lonely, b.asked, b.slots, b.ticks = true, now, lonely, false, 0, 0
	b.openings.Add(1)
	b.nextProbe = now.Add(b.spread(probePause))
	b.changes.Add(1)
}

func (b *Breaker) spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + probeSpread*(2*b.random()-1)))
}

// throttle makes the target pause.
func (b *Breaker) throttle(now time.Time, after time.Duration) {
	if after <= 0 {
		after = defaultThrottle
	}
	until := now.Add(min(after, maxThrottle))
	b.mu.Lock()
	defer b.mu.Unlock()
	if until.After(b.throttled) {
		b.throttled = until
	}
}

// candidate is how good an event is for a probe: keys without rows first, since others may be poison.
type candidate uint8

const (
	freshKey  candidate = iota
	uncharged           // a row that was never charged
	anyRow
	asked // any of these whose key was asked already, and all others since
	none
)

// mayProbe reports whether probe could return true now.
func (b *Breaker) mayProbe(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open && (b.slots > 0 || b.lonely || !now.Before(b.nextProbe))
}

// probe takes one of the probes that are due, and reports whether there was one.
func (b *Breaker) probe(now time.Time, c candidate) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return false
	}
	if !now.Before(b.nextProbe) {
		b.lonely, b.asked = b.lonely && b.ticks == 0 || b.ticks > 0 && !b.asked, false
		b.ticks++
		b.tickedAt, b.slots = b.nextProbe, probesAtOnce
		pause := probePause
		if b.ticks >= firstProbes {
			pause = min(probePause<<min(b.ticks-firstProbes+1, 10), maxProbePause)
		}
		b.nextProbe = now.Add(b.spread(pause))
	}
	switch {
	case b.slots > 0 && !now.Before(b.tickedAt.Add(time.Duration(c)*probeGrace)):
		b.slots--
	case b.lonely && c == freshKey:
	default:
		return false
	}
	if c == freshKey {
		b.lonely, b.asked = false, true
	}
	return true
}

// wake returns from when on something like this may begin: due, or when the target has paused or probes are due.
func (b *Breaker) wake(due time.Time, c candidate) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := due
	if b.open {
		if c == none {
			return time.Time{}, false
		}
		probe := b.nextProbe
		if b.slots > 0 {
			probe = b.tickedAt
		}
		at = probe.Add(time.Duration(c) * probeGrace)
		if b.lonely && c == freshKey {
			at = b.openedAt
		}
	} else if b.limit < unlimited && b.inFlight >= b.limit {
		return time.Time{}, false
	}
	if at.Before(b.throttled) {
		at = b.throttled
	}
	return at, true
}
