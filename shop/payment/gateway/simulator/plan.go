package simulator

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/57528e99/recount/shop/payment/gateway"
)

// Fault is what goes wrong with a request.
type Fault string

// The faults.
const (
	// None: it is carried out and answered.
	None Fault = ""
	// Declined: it is answered by a *gateway.DeclinedError.
	Declined Fault = "declined"
	// Unavailable: nothing is done, and the caller is told so.
	Unavailable Fault = "unavailable"
	// LostRequest: nothing is done, and the caller is told nothing.
	LostRequest Fault = "lost-request"
	// LostAnswer: it is carried out, and the caller is told nothing.
	LostAnswer Fault = "lost-answer"
	// Twice: it is carried out and answered, and answered again by a callback.
	Twice Fault = "twice"
	// Late: it is carried out later, and answered by a callback then.
	Late Fault = "late"
)

// faults are in the order in which BySeed and ByAmount count them.
var faults = []Fault{Declined, Unavailable, LostRequest, LostAnswer, Twice, Late}

// Plan says what goes wrong with a request. Attempt counts from 1 how often it was
// made without an answer. A plan is pure and called by many goroutines.
type Plan func(op gateway.Operation, r gateway.Request, attempt int) Fault

// ByCard lets an authorization whose card is named like a fault, such as "late",
// meet it, at its first attempt; next has the rest.
func ByCard(next Plan) Plan {
	return func(op gateway.Operation, r gateway.Request, attempt int) Fault {
		if attempt == 1 && slices.Contains(faults, Fault(r.Card)) {
			return Fault(r.Card)
		}
		return next(op, r, attempt)
	}
}

// ByAmount lets an authorization meet a fault at its first attempt if the last two
// digits of its amount are 91 (Declined), 92 (Unavailable), 93 (LostRequest), 94
// (LostAnswer), 95 (Twice) or 96 (Late); next has the rest.
func ByAmount(next Plan) Plan {
	return func(op gateway.Operation, r gateway.Request, attempt int) Fault {
		if i := int(r.AmountMinor%100) - 91; op == gateway.Authorize && attempt == 1 && 0 <= i && i < len(faults) {
			return faults[i]
		}
		return next(op, r, attempt)
	}
}

// BySeed draws a fault for each attempt of each key: shares has the probabilities,
// from 0 to 1, together at most 1. Only authorizations are Declined.
func BySeed(seed uint64, shares map[Fault]float64) Plan {
	return func(op gateway.Operation, r gateway.Request, attempt int) Fault {
		drawn := draw(seed, r.Key, attempt)
		for _, f := range faults {
			if drawn -= shares[f]; drawn < 0 {
				if f == Declined && op != gateway.Authorize {
					return None
				}
				return f
			}
		}
		return None
	}
}

// draw returns a number from 0 to 1, exclusive.
func draw(seed uint64, key string, attempt int) float64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s", seed, attempt, key))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}
