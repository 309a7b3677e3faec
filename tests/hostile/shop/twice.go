package shop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// inProgress is the answer to a request while another with its key is being
// worked on.
var inProgress = wire.Refusal(http.StatusConflict, "idempotency-in-progress")

// sendTwice sends a command on two connections at once, under one key. It takes
// effect once, and both get the same answer, if need be at another try.
func (w *worker) sendTwice(ctx context.Context) error {
	c := w.generate(w.tame)
	for !mayHaveKey(&c) {
		c = w.generate(w.tame)
	}
	c.Set("Idempotency-Key", w.tame.key())
	c.How = append(c.How, "sent twice at once")
	c.Seal()
	w.Sent++
	var answers [2]wire.Answer
	var errs [2]error
	var both sync.WaitGroup
	for i, l := range []*wire.Link{&w.Link, &w.Second} {
		both.Go(func() { answers[i], errs[i] = l.Do(ctx, c.Request) })
	}
	both.Wait()
	err := errors.Join(errs[:]...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = w.judgeTwice(ctx, c, answers)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return w.Worker.Tell(&wire.Failure{Worker: w.Number, Number: w.Sent, Err: err, How: c.HowText(), Curl: c.Curl(w.Link.Host) + " & " + c.Curl(w.Second.Host) + " & wait",
			Answer: wire.Describe(answers[0]) + "\n\t" + wire.Describe(answers[1])})
	}
	for _, a := range answers {
		w.Count(a)
	}
	return nil
}

// mayHaveKey reports whether a call is a command that has no key yet and whose
// answer is kept under one.
func mayHaveKey(c *wire.Call) bool {
	if _, has := c.Get("Idempotency-Key"); has || c.Unmodelled || strings.Contains(c.Target, dryRun) {
		return false
	}
	status := c.Wants[0].Status
	return wire.IsCommand(c) && (status < 300 || status == http.StatusConflict)
}

// judgeTwice checks two answers to one command.
func (w *worker) judgeTwice(ctx context.Context, c wire.Call, answers [2]wire.Answer) error {
	var outcomes [2]wire.Want
	first := -1
	for i, a := range answers {
		var err error
		if outcomes[i], err = c.Outcome(a); err != nil {
			return err
		}
		if outcomes[i] == inProgress || a.Header.Get("Idempotency-Replayed") != "" {
			continue
		}
		if first >= 0 {
			return errors.New("neither answer is a replay: the command was worked on twice")
		}
		first = i
	}
	if first < 0 {
		return errors.New("neither answer is the first one")
	}
	if err := c.Judge(answers[first]); err != nil {
		return err
	}
	kept := keptCall{c, answers[first]}
	other := answers[1-first]
	if outcomes[1-first] == inProgress {
		var err error
		if other, err = w.retry(ctx, c); err != nil {
			return err
		}
	}
	if err := kept.repeat().Judge(other); err != nil {
		return fmt.Errorf("the second answer: %w", err)
	}
	return nil
}

// retry sends a command again until the other one with its key is over.
func (w *worker) retry(ctx context.Context, c wire.Call) (wire.Answer, error) {
	deadline := time.Now().Add(wire.Patience)
	for {
		a, err := w.Link.Do(ctx, c.Request)
		if err != nil {
			return a, err
		}
		got, err := c.Outcome(a)
		if err != nil || got != inProgress {
			return a, err
		}
		if time.Now().After(deadline) {
			return a, fmt.Errorf("the key is in use %v after the other request was answered", wire.Patience)
		}
	}
}
