package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/operations"
)

const (
	// keptAnswer is how much of an answer is kept.
	keptAnswer = 4 << 10
	// keptOfSuccess is how much of the answer of a webhook is kept that was delivered.
	keptOfSuccess = 2 << 10
	// readAnswer is how long an answer may be that can say which events of a batch failed.
	readAnswer = 1 << 20
	// skippedAnswer is how much more is read, so that the connection can be used again.
	skippedAnswer = 64 << 10
	// keptDetail is how much of a text of the receiver's is put into an error.
	keptDetail = 200
)

// judge returns what an answer means.
func judge(r *http.Response, c *credentials, d *delivery.Delivery) error {
	if r.StatusCode/100 == 2 {
		return judgeSuccess(r, c, d)
	}
	err := &delivery.ResponseError{Status: r.StatusCode, Answer: c.begin(r.Body, keptAnswer)}
	after, told := retryAfter(r.Header)
	switch status := r.StatusCode; {
	case status == http.StatusGone, strings.EqualFold(r.Header.Get("Webhook-Delivery"), "disable"):
		return delivery.Gone(err)
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500 && told:
		return delivery.Throttled(err, after)
	case status >= 300 && status < 400:
		err.Detail = "redirects are not followed" + redirectedTo(r, c)
		return delivery.Permanent(err)
	case status >= 400 && status < 500:
		return delivery.Permanent(err)
	}
	return err
}

// redirectedTo says where a redirect leads, without the query, which may have a secret.
func redirectedTo(r *http.Response, c *credentials) string {
	to, err := url.Parse(r.Header.Get("Location"))
	if err != nil || to.String() == "" {
		return ""
	}
	return "; it leads to " + c.text((&url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path}).String(), keptDetail)
}

// retryAfter returns for how long nothing is to be sent, and whether the header says so: in seconds, or until a
// time, by the clock of the one who answers if it tells.
func retryAfter(h http.Header) (time.Duration, bool) {
	const longest = 365 * 24 * time.Hour
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 63); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(longest/time.Second))) * time.Second, true
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return min(max(until.Sub(now), 0), longest), true
}

// judgeSuccess looks whether the receiver says that it did not take some of the events:
// {"failed":[7, "<message id>", {"position":8, "error":"…", "permanent":true}]}. Any other body is none of ours.
func judgeSuccess(r *http.Response, c *credentials, d *delivery.Delivery) error {
	if r.ContentLength == 0 {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, readAnswer+1))
	if err != nil {
		return fmt.Errorf("the answer %d breaks off: %w", r.StatusCode, err)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return nil
	}
	failure := func(detail string) *delivery.ResponseError {
		return &delivery.ResponseError{Status: r.StatusCode, Detail: detail, Answer: c.text(string(body[:min(len(body), keptAnswer+c.longest())]), keptAnswer)}
	}
	if len(body) > readAnswer {
		return failure("an answer that may say which events failed must have at most 1 MiB")
	}
	var said struct {
		Failed json.RawMessage `json:"failed"`
	}
	var failed []json.RawMessage
	if json.Unmarshal(body, &said) != nil || said.Failed == nil {
		return nil
	}
	if err := json.Unmarshal(said.Failed, &failed); err != nil {
		return failure("its member failed is not a list of the events that it did not take")
	}
	errs := make(map[int]error, len(failed))
	for _, text := range failed {
		var f failedEvent
		if err := f.parse(text); err != nil {
			return failure(c.text(fmt.Sprintf("an item of failed cannot be read: %v", err), keptDetail))
		}
		i := f.index(d.Events)
		if i < 0 {
			return failure(c.text(fmt.Sprintf("%s in failed is no position and no message_id of what was sent", text), keptDetail))
		}
		detail := "it did not take the event"
		if f.Error != "" {
			detail = c.text(f.Error, keptDetail)
		}
		if errs[i] = failure(detail); f.Permanent {
			errs[i] = delivery.Permanent(errs[i])
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &delivery.PartialError{Failed: errs}
}

// failedEvent is an event that a receiver did not take.
type failedEvent struct {
	Position  int64  `json:"position"`
	MessageID string `json:"message_id"`
	Error     string `json:"error"`
	Permanent bool   `json:"permanent"`
}

func (f *failedEvent) parse(text json.RawMessage) error {
	switch text[0] {
	case '{':
		return json.Unmarshal(text, f)
	case '"':
		return json.Unmarshal(text, &f.MessageID)
	}
	return json.Unmarshal(text, &f.Position)
}

func (f *failedEvent) index(events []delivery.Event) int {
	for i := range events {
		if f.MessageID != "" && strings.EqualFold(f.MessageID, events[i].MessageID.String()) || f.MessageID == "" && f.Position == events[i].Position {
			return i
		}
	}
	return -1
}

// begin returns what the body of an answer begins with, and reads the rest, if it is short. An answer that breaks off is an
// answer.
func (c *credentials) begin(body io.Reader, limit int) string {
	// Secrets are looked for beyond what is kept, or one that is cut would be taken for none.
	text, _ := io.ReadAll(io.LimitReader(body, int64(limit+c.longest())))
	_, _ = io.CopyN(io.Discard, body, skippedAnswer)
	return c.text(string(text), limit)
}

// text returns text of the receiver's as it can be kept, without the secrets.
func (c *credentials) text(s string, limit int) string {
	for _, secret := range c.hidden {
		s = strings.ReplaceAll(s, secret, "(a secret)")
	}
	return operations.SanitizeText(s[:min(len(s), limit)])
}

func (c *credentials) longest() (n int) {
	for _, secret := range c.hidden {
		n = max(n, len(secret))
	}
	return n
}
