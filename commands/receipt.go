package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/57528e99/recount/eventstore"
)

// MaxAnswerBytes is how long the bytes of ReceiptRequest.Answer may be.
const MaxAnswerBytes = 64<<10 - 1

// The answer kept in a receipt is one of these bytes, which tells a replay
// whether the command was accepted, and then the bytes of the caller.
const (
	kindAccepted = 1
	kindRefused  = 2
)

// outcome is how a command ended, now or, if replayed, the first time.
type outcome struct {
	appended eventstore.Appended
	refusal  error
	answer   []byte
	replayed bool
}

// report returns the outcome in the form that the caller gets.
func (o outcome) report() (Result, error) {
	if o.refusal != nil {
		return Result{}, &RejectedError{
			Stream: o.appended.Stream, Version: o.appended.Version,
			Err: o.refusal, Answer: o.answer, Replayed: o.replayed,
		}
	}
	return Result{
		Stream: o.appended.Stream, Version: o.appended.Version, Position: o.appended.Position,
		Token: o.appended.Token, Answer: o.answer, Replayed: o.replayed,
	}, nil
}

// checkReceipt finds what the store would refuse in a receipt before the
// command is decided.
func (h *Handler[S, E]) checkReceipt(stream string, r *ReceiptRequest) error {
	if r == nil {
		return nil
	}
	if h.receipts == nil {
		return fmt.Errorf("keep a receipt for stream %q: %w", stream, eventstore.ErrNotSupported)
	}
	receipt := eventstore.Receipt{Scope: r.Scope, Key: r.Key, Fingerprint: r.Fingerprint}
	return eventstore.Limits{}.Validate(
		[]eventstore.StreamAppend{{Stream: stream, Expected: eventstore.Any}}, eventstore.AppendOptions{Receipt: &receipt})
}

// receipt returns the receipt to append with the outcome; nil if none is wanted.
func (r request) receipt(refusal error) (*eventstore.Receipt, error) {
	if r.Receipt == nil {
		return nil, nil
	}
	answer := []byte{kindAccepted}
	if refusal != nil {
		answer[0] = kindRefused
	}
	if r.Receipt.Answer != nil {
		answer = append(answer, r.Receipt.Answer(refusal)...)
	}
	if n := len(answer) - 1; n > MaxAnswerBytes {
		return nil, &eventstore.InvalidError{
			Field: "receipt.answer", Reason: fmt.Sprintf("must have at most %d bytes, it has %d", MaxAnswerBytes, n),
		}
	}
	return &eventstore.Receipt{
		Scope: r.Receipt.Scope, Key: r.Receipt.Key, Fingerprint: r.Receipt.Fingerprint, Answer: answer,
	}, nil
}

// answerIn returns the caller's bytes in a receipt that receipt made.
func answerIn(r *eventstore.Receipt) []byte {
	if r == nil {
		return nil
	}
	return r.Answer[1:]
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

// replay looks for the outcome of an earlier run of the same request.
func (h *Handler[S, E]) replay(ctx context.Context, r *ReceiptRequest) (_ Result, found bool, _ error) {
	if r == nil {
		return Result{}, false, nil
	}
	stored, err := h.receipts.Receipt(ctx, r.Scope, r.Key)
	switch {
	case errors.Is(err, eventstore.ErrReceiptNotFound):
		return Result{}, false, nil
	case err != nil:
		return Result{}, false, fmt.Errorf("look up receipt %q: %w", r.Key, err)
	case !bytes.Equal(stored.Fingerprint, r.Fingerprint):
		return Result{}, true, &eventstore.ReceiptMismatchError{Scope: r.Scope, Key: r.Key}
	}
	result, err := replayed(stored)
	return result, true, err
}

// replayed turns a stored receipt into the outcome it was written for. One that
// no command wrote belongs to some other request.
func replayed(stored eventstore.StoredReceipt) (Result, error) {
	if len(stored.Appended) != 1 || len(stored.Answer) == 0 {
		return Result{}, &eventstore.ReceiptMismatchError{Scope: stored.Scope, Key: stored.Key}
	}
	o := outcome{appended: stored.Appended[0], answer: stored.Answer[1:], replayed: true}
	switch stored.Answer[0] {
	case kindAccepted:
	case kindRefused:
		o.refusal = ErrRefusedBefore
	default:
		return Result{}, &eventstore.ReceiptMismatchError{Scope: stored.Scope, Key: stored.Key}
	}
	return o.report()
}
