package core

import (
	"strconv"
	"time"
)

// Ask reports whether a question may be asked now that is about no event in particular, and counts it as begun: Answered or Unanswered must follow. A
// breaker is for questions or for the attempts of partitions, not for both. It opens when as many in a row as it has keys have failed, lets probes
// through then, and all again after one that did not fail.
func (b *Breaker) Ask(now time.Time) bool {
	b.mu.Lock()
	b.limit = unlimited // who is refused does not come back, so nothing is gained by few at a time
	b.mu.Unlock()
	switch g, _ := b.admit(now); {
	case g == gateOpen:
		return true
	case g == gateProbes && b.probe(now, freshKey):
		b.begin()
		return true
	}
	return false
}

// Answered notes how a question ended; throttled is how long nobody is to ask, 0 if that was not said.
func (b *Breaker) Answered(now time.Time, well bool, throttled time.Duration) {
	key := strconv.FormatUint(b.mark(), 10) // each is one of its own
	switch {
	case well:
		b.end(now, key, "")
		return
	case throttled > 0:
		b.throttle(now, throttled)
	}
	b.end(now, "", "")
	b.failure(now, key)
}

// Unanswered notes that a question was given up, of which nobody can tell how it would have ended.
func (b *Breaker) Unanswered() { b.release(1) }
