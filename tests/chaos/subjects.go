package chaos

import (
	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore/logcheck"
)

// subjects is how many of the appends of a history each rule is about. An append is
// counted as often as it was sent.
type subjects struct {
	// acked were acknowledged, refused were not, for whatever reason, and failed
	// ended with an error, also where nobody knows whether they are stored.
	acked, refused, failed int
	// contended were acknowledged and demanded a version, again were sent before,
	// together were parts of an append to several streams.
	contended, again, together int
}

func subjectsOf(h *logcheck.History) (n subjects) {
	sent := make(map[uuid.UUID]bool, len(h.Appends))
	for i := range h.Appends {
		a := &h.Appends[i]
		switch a.Outcome {
		case logcheck.Acked:
			n.acked++
			if a.Expected >= logcheck.NoStream {
				n.contended++
			}
		case logcheck.Refused, logcheck.Conflicted:
			n.refused++
			n.failed++
		default:
			n.failed++
		}
		if a.Together != 0 {
			n.together++
		}
		if len(a.IDs) > 0 {
			if sent[a.IDs[0]] {
				n.again++
			}
			sent[a.IDs[0]] = true
		}
	}
	return n
}
