package chaos

import (
	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore/logcheck"
)

// subjectsOf returns how much of a history each rule is about. An append is counted
// as often as it was sent.
func subjectsOf(h *logcheck.History) map[logcheck.Rule]int {
	n := map[logcheck.Rule]int{
		logcheck.RuleReads:        len(h.Reads),
		logcheck.RuleLinearizable: len(h.Appends) + len(h.Reads),
		logcheck.RuleOrdered:      len(h.Batches),
	}
	sent := make(map[uuid.UUID]bool, len(h.Appends))
	for i := range h.Appends {
		a := &h.Appends[i]
		switch a.Outcome {
		case logcheck.Acked:
			n[logcheck.RuleAcked]++
			if a.Expected >= logcheck.NoStream {
				n[logcheck.RuleOneWinner]++
			}
		case logcheck.Refused, logcheck.Conflicted:
			n[logcheck.RuleRefused]++
			n[logcheck.RuleErrors]++
		default:
			n[logcheck.RuleErrors]++
		}
		if a.Together != 0 {
			n[logcheck.RuleTogether]++
		}
		if len(a.IDs) > 0 {
			if sent[a.IDs[0]] {
				n[logcheck.RuleRetries]++
			}
			sent[a.IDs[0]] = true
		}
	}
	return n
}
