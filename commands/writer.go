package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// writer does what is the same for a command on one stream and a unit over several: receipt,
// append, answer, and observation.
type writer struct {
	store    eventstore.Store
	receipts eventstore.ReceiptStore // nil: not supported
	// target is what errors of appends say before the name: "to stream" or "of unit".
	target string
	// category is that of observations; empty: the request's name.
	category string
	observe  func(Observation)
	replays  replayShare
}

func newWriter(store eventstore.Store, target, category string, observe func(Observation)) *writer {
	w := &writer{store: store, target: target, category: category, observe: observe}
	if store.Features().Receipts {
		w.receipts, _ = store.(eventstore.ReceiptStore)
	}
	return w
}

// request is one command's way through a handler, or one unit's.
type request struct {
	Options
	// stream is the command's stream, or the name of the unit.
	stream   string
	metadata []byte
	// retries is how often it was decided again so far.
	retries int
}

func (w *writer) newRequest(stream string, o Options) (request, error) {
	if o.DryRun {
		o.Receipt = nil
	}
	if err := w.checkReceipt(stream, o.Receipt); err != nil {
		return request{}, err
	}
	metadata, err := o.metadata()
	return request{Options: o, stream: stream, metadata: metadata}, err
}

// handle runs a request, unless its receipt says that it was run before, and observes it.
func (w *writer) handle(ctx context.Context, stream string, o Options, run func(*request) (outcome, error)) (Result, error) {
	begun := time.Now()
	r, err := w.newRequest(stream, o.because(ctx))
	if err != nil {
		return Result{}, err
	}
	var ended outcome
	known := false
	// The append judges the receipt. To look it up first pays only where replays are common: each
	// costs all appends that are written together with it the fast path.
	if w.replays.isHigh() {
		ended, known, err = w.replay(ctx, r.Receipt)
	}
	if !known && err == nil {
		ended, err = run(&r)
	}
	result, err := ended.report(err)
	became := outcomeOf(result, err)
	if r.Receipt != nil {
		w.replays.record(became == Replayed)
	}
	if w.observe != nil && !r.DryRun {
		category := w.category
		if category == "" {
			category = stream
		}
		w.observe(Observation{Category: category, Outcome: became, Retries: r.retries, Duration: time.Since(begun)})
	}
	return result, err
}

// outcome is how a command ended, now or, if replayed, the first time.
type outcome struct {
	// appended has one stream or more.
	appended []eventstore.Appended
	refusal  error
	answer   Answer
	replayed bool
	// planned is what a dry run would have appended.
	planned []eventstore.StreamAppend
}

// report returns the outcome, or an error that left none, in the form that the caller gets.
func (o outcome) report(err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	first := o.appended[0]
	if o.refusal != nil {
		return Result{}, &RejectedError{
			Stream: first.Stream, Version: first.Version,
			Err: o.refusal, Answer: o.answer, Replayed: o.replayed,
		}
	}
	r := Result{
		Stream: first.Stream, Version: first.Version, Token: first.Token, Streams: o.appended,
		Answer: o.answer, Replayed: o.replayed, Planned: o.planned,
	}
	for _, a := range o.appended {
		r.Position = max(r.Position, a.Position)
		r.Duplicate = r.Duplicate || a.Duplicate
	}
	return r, nil
}

// unlessKnown answers a command that no append judged, because of err, with the outcome of its
// first run, if there was one: that may be what moved the stream, in another process or while it
// waited.
func (w *writer) unlessKnown(ctx context.Context, r request, err error) (outcome, error) {
	if o, found, lookUp := w.replay(ctx, r.Receipt); found || lookUp != nil {
		return o, lookUp
	}
	return outcome{}, err
}

// writes reports whether there is anything to append: events, or a receipt.
func (r request) writes(refusal error, appends ...eventstore.StreamAppend) bool {
	for _, a := range appends {
		if len(a.Events) > 0 {
			return !r.DryRun
		}
	}
	return r.Receipt != nil && (refusal == nil || !r.Receipt.AcceptedOnly)
}

// append appends what was decided, with the receipt. If that is known the outcome is the first one.
func (w *writer) append(ctx context.Context, r request, appends []eventstore.StreamAppend, refusal error) (outcome, error) {
	receipt, answer, err := r.receipt(refusal)
	if err != nil {
		return outcome{}, err
	}
	appended, err := w.write(ctx, appends, eventstore.AppendOptions{Receipt: receipt})
	var known *eventstore.ReceiptKnownError
	isKnown := errors.As(err, &known)
	switch {
	case err == nil:
		failpoint.HitIn(ctx, failpoint.CommandAppended)
		return outcome{appended: appended, refusal: refusal, answer: answer}, nil
	case isKnown:
		return replayed(known.Stored)
	case errors.Is(err, eventstore.ErrReceiptMismatch):
		return outcome{}, err
	}
	err = fmt.Errorf("append %s %q: %w", w.target, r.stream, err)
	if errors.Is(err, eventstore.ErrUnavailable) {
		// What takes no appends may still be read.
		return w.unlessKnown(ctx, r, err)
	}
	return outcome{}, err
}

func (w *writer) write(ctx context.Context, appends []eventstore.StreamAppend, o eventstore.AppendOptions) ([]eventstore.Appended, error) {
	if len(appends) > 1 {
		return w.store.(eventstore.MultiStreamAppender).AppendStreams(ctx, appends, o)
	}
	appended, err := w.store.Append(ctx, appends[0], o)
	return []eventstore.Appended{appended}, err
}

// answerOnly answers a command that writes nothing at all.
func (w *writer) answerOnly(ctx context.Context, r request, appends []eventstore.StreamAppend, refusal error) (outcome, error) {
	// It may be refused because it was accepted before.
	if o, found, err := w.replay(ctx, r.Receipt); found || err != nil {
		return o, err
	}
	o := outcome{refusal: refusal}
	if r.DryRun {
		o.planned = appends
	}
	var head eventstore.Token
	if refusal == nil {
		var err error
		if head, err = w.store.Head(ctx); err != nil {
			return outcome{}, fmt.Errorf("read the head of the log: %w", err)
		}
	}
	for _, a := range appends {
		o.appended = append(o.appended, eventstore.Appended{Stream: a.Stream, Version: versionOf(a.Expected), Token: head})
	}
	return o, nil
}

// versionOf is the version that eventstore.Exact was made of.
func versionOf(e eventstore.ExpectedVersion) int64 {
	if version, ok := e.Exact(); ok {
		return version
	}
	return -1
}

// replay looks for the outcome of an earlier run of the same request.
func (w *writer) replay(ctx context.Context, r *ReceiptRequest) (_ outcome, found bool, _ error) {
	if r == nil {
		return outcome{}, false, nil
	}
	stored, err := w.receipts.Receipt(ctx, r.Scope, r.Key)
	switch {
	case errors.Is(err, eventstore.ErrReceiptNotFound):
		return outcome{}, false, nil
	case err != nil:
		return outcome{}, false, fmt.Errorf("look up receipt %q: %w", r.Key, err)
	case !bytes.Equal(stored.Fingerprint, r.Fingerprint):
		return outcome{}, true, &eventstore.ReceiptMismatchError{Scope: r.Scope, Key: r.Key}
	}
	o, err := replayed(stored)
	return o, true, err
}

// replayed turns a stored receipt into the outcome it was written for. One that
// no command wrote belongs to some other request.
func replayed(stored eventstore.StoredReceipt) (outcome, error) {
	answer, refused, ok := decodeAnswer(stored.Answer)
	if len(stored.Appended) == 0 || !ok {
		return outcome{}, &eventstore.ReceiptMismatchError{Scope: stored.Scope, Key: stored.Key}
	}
	o := outcome{appended: stored.Appended, answer: answer, replayed: true}
	if refused {
		o.refusal = ErrRefusedBefore
	}
	return o, nil
}
