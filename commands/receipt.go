package commands

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"

	"github.com/57528e99/recount/eventstore"
)

// MaxAnswerBytes is how long the body of an Answer may be. What goes before it fits into the rest
// of the
// 64 KiB of a receipt.
const MaxAnswerBytes = 64<<10 - 32

// The answer kept in a receipt begins with one of these bytes, which tells a replay whether the
// command was accepted. Then comes the code on a line of its own, and the body.
const (
	kindAccepted = 1
	kindRefused  = 2
)

// encode returns the answer as a receipt keeps it.
func (a Answer) encode(refused bool) []byte {
	kept := []byte{kindAccepted}
	if refused {
		kept[0] = kindRefused
	}
	return append(append(strconv.AppendInt(kept, int64(a.Code), 10), '\n'), a.Body...)
}

// decodeAnswer reads what encode returned; ok is false for anything that does not begin as that
// does.
func decodeAnswer(kept []byte) (a Answer, refused, ok bool) {
	if len(kept) == 0 || kept[0] != kindAccepted && kept[0] != kindRefused {
		return Answer{}, false, false
	}
	line, body, found := bytes.Cut(kept[1:], []byte{'\n'})
	code, err := strconv.Atoi(string(line))
	if !found || err != nil {
		// There was no code before there were codes.
		code, body = 0, kept[1:]
	}
	return Answer{Code: code, Body: body}, kept[0] == kindRefused, true
}

// checkReceipt finds what the store would refuse in a receipt before the
// command is decided.
func (w *writer) checkReceipt(stream string, r *ReceiptRequest) error {
	if r == nil {
		return nil
	}
	if w.receipts == nil {
		return fmt.Errorf("keep a receipt for stream %q: %w", stream, eventstore.ErrNotSupported)
	}
	receipt := eventstore.Receipt{Scope: r.Scope, Key: r.Key, Fingerprint: r.Fingerprint}
	return eventstore.Limits{}.Validate(
		[]eventstore.StreamAppend{{Stream: stream, Expected: eventstore.Any}}, eventstore.AppendOptions{Receipt: &receipt})
}

// receipt returns the receipt to append with the outcome, and the answer in it; nil if none is
// wanted.
func (r request) receipt(refusal error) (_ *eventstore.Receipt, a Answer, _ error) {
	if r.Receipt == nil {
		return nil, a, nil
	}
	if r.Receipt.Answer != nil {
		a = r.Receipt.Answer(refusal)
	}
	if n := len(a.Body); n > MaxAnswerBytes || a.Code < 0 {
		return nil, a, &eventstore.InvalidError{
			Field: "receipt.answer", Reason: fmt.Sprintf("must have at most %d bytes, it has %d, and no negative code", MaxAnswerBytes, n),
		}
	}
	return &eventstore.Receipt{
		Scope: r.Receipt.Scope, Key: r.Receipt.Key, Fingerprint: r.Receipt.Fingerprint, Answer: a.encode(refusal != nil),
	}, a, nil
}

// replayShare is the share of replays among the last few hundred commands with a receipt.
type replayShare struct {
	mu    sync.Mutex
	share float64
}

// record counts a command.
func (s *replayShare) record(replayed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.share -= s.share / 256
	if replayed {
		s.share += 1. / 256
	}
}

// isHigh reports whether it is above 1 %.
func (s *replayShare) isHigh() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.share > 0.01
}
