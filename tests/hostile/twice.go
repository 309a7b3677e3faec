package hostile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// inProgress is the answer to a request while another with its key is being
// worked on.
var inProgress = want{http.StatusConflict, "idempotency-in-progress"}

// sendTwice sends a command on two connections at once, under one key. It takes
// effect once, and both get the same answer, if need be at another try.
func (w *worker) sendTwice(ctx context.Context) error {
	c := w.generate(w.tame)
	for !mayHaveKey(&c) {
		c = w.generate(w.tame)
	}
	c.set("Idempotency-Key", w.tame.key())
	c.how = append(c.how, "sent twice at once")
	c.seal()
	w.sent++
	var answers [2]answer
	var errs [2]error
	var both sync.WaitGroup
	for i, l := range []*link{&w.link, &w.second} {
		both.Go(func() { answers[i], errs[i] = l.do(ctx, c.request) })
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
		return w.fail(&Failure{Err: err, How: describeHow(c), Curl: c.curl(w.link.host) + " & " + c.curl(w.second.host) + " & wait",
			Answer: describe(answers[0]) + "\n\t" + describe(answers[1])})
	}
	for _, a := range answers {
		w.count(statusClass(a.status))
	}
	return nil
}

// mayHaveKey reports whether a call is a command that has no key yet and whose
// answer is kept under one.
func mayHaveKey(c *call) bool {
	if _, has := c.get("Idempotency-Key"); has || c.unmodelled {
		return false
	}
	status := c.wants[0].status
	return isCommand(c) && (status < 300 || status == http.StatusConflict)
}

// judgeTwice checks two answers to one command.
func (w *worker) judgeTwice(ctx context.Context, c call, answers [2]answer) error {
	var outcomes [2]want
	first := -1
	for i, a := range answers {
		var err error
		if outcomes[i], err = c.outcome(a); err != nil {
			return err
		}
		if outcomes[i] == inProgress || a.header.Get("Idempotency-Replayed") != "" {
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
	if err := c.judge(answers[first]); err != nil {
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
	if err := kept.repeat().judge(other); err != nil {
		return fmt.Errorf("the second answer: %w", err)
	}
	return nil
}

// retry sends a command again until the other one with its key is over.
func (w *worker) retry(ctx context.Context, c call) (answer, error) {
	deadline := time.Now().Add(patience)
	for {
		a, err := w.link.do(ctx, c.request)
		if err != nil {
			return a, err
		}
		got, err := c.outcome(a)
		if err != nil || got != inProgress {
			return a, err
		}
		if time.Now().After(deadline) {
			return a, fmt.Errorf("the key is in use %v after the other request was answered", patience)
		}
	}
}
