package delivery

import (
	"time"

	"github.com/57528e99/recount/operations"
)

// isRate reports whether it is one: how many events there may be in a second.
func isRate(rate float64) bool { return rate == 0 || rate >= 0.001 && rate <= 1e6 }

func invalidRate(rate float64) error {
	return operations.InvalidOption("rate", "is %v events a second, it must be from 0.001 to 1000000, or 0 for as many as can be", rate)
}

// pace holds attempts to a rate. The zero value holds nothing back.
type pace struct {
	// rate is how many events there may be in a second; 0: any.
	rate float64
	due  time.Time
}

// mostAtOnce bounds how many events are tried together: those of a second.
func mostAtOnce(n int, rate float64) int { return max(min(n, int(rate)), 1) }

// paceSlack is for how long attempts that were late may be more than the rate: timers are late by about a millisecond.
const paceSlack = 20 * time.Millisecond

// holds returns until when no attempt may begin, and whether that is to come.
func (p *pace) holds(now time.Time) (until time.Time, yes bool) {
	return p.due, p.rate > 0 && now.Before(p.due)
}

// began counts the events of an attempt that begins.
func (p *pace) began(now time.Time, events int) {
	if p.rate <= 0 {
		return
	}
	if earliest := now.Add(-paceSlack); p.due.Before(earliest) {
		p.due = earliest
	}
	p.due = p.due.Add(time.Duration(float64(events) / p.rate * float64(time.Second)))
}
