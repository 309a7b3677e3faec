package webhook

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/delivery"
)

// TestAnswers: what statuses and headers mean.
func TestAnswers(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	for _, c := range []struct {
		status  int
		headers string
		outcome delivery.Outcome
		after   time.Duration
		text    string
	}{
		{200, "", delivery.Done, 0, ""}, {201, "", delivery.Done, 0, ""}, {202, "", delivery.Done, 0, ""}, {204, "", delivery.Done, 0, ""},
		{200, "Retry-After: 7", delivery.Done, 0, ""},
		{301, "Location: URL/x", delivery.PermanentFailure, 0, "301 Moved Permanently: redirects are not followed; it leads to URL/x"},
		{302, "Location: URL/?token=s3cret", delivery.PermanentFailure, 0, "it leads to URL/"},
		{303, "", delivery.PermanentFailure, 0, "redirects are not followed"}, {304, "", delivery.PermanentFailure, 0, "304"},
		{307, "Location: /here", delivery.PermanentFailure, 0, "it leads to /here"}, {308, "Location: ::%", delivery.PermanentFailure, 0, "308"},
		{400, "", delivery.PermanentFailure, 0, "the target answered 400 Bad Request"}, {401, "", delivery.PermanentFailure, 0, "401 Unauthorized"},
		{403, "", delivery.PermanentFailure, 0, "403"}, {404, "", delivery.PermanentFailure, 0, "404"}, {409, "", delivery.PermanentFailure, 0, "409"},
		{413, "Retry-After: 7", delivery.PermanentFailure, 0, "413"}, {422, "", delivery.PermanentFailure, 0, "422"}, {499, "", delivery.PermanentFailure, 0, "499"},
		{408, "", delivery.ThrottledOutcome, 0, "408"}, {425, "", delivery.ThrottledOutcome, 0, "425"}, {429, "", delivery.ThrottledOutcome, 0, "429"},
		{429, "Retry-After: 7", delivery.ThrottledOutcome, 7 * time.Second, "429"},
		{429, "Retry-After: 99999999999999999999999", delivery.ThrottledOutcome, 365 * 24 * time.Hour, "429"},
		{429, "Retry-After: -1", delivery.ThrottledOutcome, 0, "429"}, {429, "Retry-After: soon", delivery.ThrottledOutcome, 0, "429"},
		{503, "Retry-After: 7", delivery.ThrottledOutcome, 7 * time.Second, "503"},
		{503, "Date: Fri, 02 Jan 2026 15:04:05 GMT\nRetry-After: Fri, 02 Jan 2026 15:05:05 GMT", delivery.ThrottledOutcome, time.Minute, "503"},
		{503, "Date: Fri, 02 Jan 2026 15:04:05 GMT\nRetry-After: Fri, 02 Jan 2026 15:03:05 GMT", delivery.ThrottledOutcome, 0, "503"},
		{500, "Retry-After: 0", delivery.ThrottledOutcome, 0, "500"},
		{500, "", delivery.Transient, 0, "500 Internal Server Error"}, {502, "", delivery.Transient, 0, "502"}, {503, "", delivery.Transient, 0, "503"},
		{504, "", delivery.Transient, 0, "504"}, {599, "", delivery.Transient, 0, "the target answered 599"},
		{410, "", delivery.GoneOutcome, 0, "410 Gone"}, {403, "webhook-delivery: disable", delivery.GoneOutcome, 0, "403"},
	} {
		target := receiver(t, delivery.HTTPTarget{}, 1, func(w http.ResponseWriter, _ *http.Request) {
			for line := range strings.Lines(strings.ReplaceAll(c.headers, "URL", elsewhere.URL)) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				w.Header().Set(name, value)
			}
			w.WriteHeader(c.status)
		})
		err := deliver(t, target, event(7, "1"))
		outcome, after := delivery.OutcomeOf(err)
		if outcome != c.outcome || after != c.after {
			t.Errorf("%d with %q means %s, %s; want %s, %s", c.status, c.headers, outcome, after, c.outcome, c.after)
		}
		var answered *delivery.ResponseError
		if errors.As(err, &answered) != (c.outcome != delivery.Done) || answered != nil && answered.Status != c.status {
			t.Errorf("%d: %#v", c.status, err)
		}
		if text := fmt.Sprint(err); c.outcome != delivery.Done && !strings.Contains(text, strings.ReplaceAll(c.text, "URL", elsewhere.URL)) || strings.Contains(text, "s3cret") {
			t.Errorf("%d with %q: %s, want %q", c.status, c.headers, text, c.text)
		}
	}
}

// TestAnswerIsKept: as much as anybody reads, as text that the database takes.
func TestAnswerIsKept(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":"no such customer"}`:                `{"error":"no such customer"}`,
		"bad \xff\x00 bytes":                          "bad ?? bytes",
		strings.Repeat("x", 3000) + "\nsecond line\n": strings.Repeat("x", 3000) + "\nsecond line\n",
	} {
		target := receiver(t, delivery.HTTPTarget{}, 1, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, body)
		})
		var answered *delivery.ResponseError
		if err := deliver(t, target, event(7, "1")); !errors.As(err, &answered) || answered.Answer != want || strings.Contains(err.Error(), "customer") {
			t.Errorf("of %.100q is kept %.100q", body, answered.Answer)
		}
	}
	// Without an end, and longer than anybody waits for.
	target := receiver(t, delivery.HTTPTarget{}, 1, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		for line := []byte(strings.Repeat("y", 1023) + "\n"); ; {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	})
	var answered *delivery.ResponseError
	if err := deliver(t, target, event(7, "1")); !errors.As(err, &answered) || len(answered.Answer) > keptAnswer || len(answered.Answer) < 3000 {
		t.Errorf("an answer without an end: %v", err)
	}
}

// TestPartialAnswers: in whatever way a receiver names what it did not take. What cannot be read as such fails all,
// for it may mean any of them.
func TestPartialAnswers(t *testing.T) {
	batch := []delivery.Event{event(7, "1"), event(8, "2"), event(9, "3")}
	id := batch[2].MessageID.String()
	const whole = "whole"
	for body, want := range map[string]string{
		``: "", `ok`: "", `[1]`: "", `{}`: "", `{"failed":null}`: "", `{"failed":[]}`: "", `{"other":[7]}`: "", `{"failed":[7]`: "",
		`{"failed":[7]}`:                 "map[0:the target answered 200 OK: it did not take the event transient]",
		`{"failed":[9,7,9],"taken":[8]}`: "map[0:the target answered 200 OK: it did not take the event transient 2:the target answered 200 OK: it did not take the event transient]",
		` {"failed":["` + id + `"]}`:     "map[2:the target answered 200 OK: it did not take the event transient]",
		`{"failed":[{"position":8}]}`:    "map[1:the target answered 200 OK: it did not take the event transient]",
		`{"failed":[{"message_id":"` + id + `","error":"no such order","permanent":true}]}`: "map[2:the target answered 200 OK: no such order permanent]",
		`{"failed":3}`: whole, `{"failed":{}}`: whole, `{"failed":[6]}`: whole, `{"failed":[7,"x"]}`: whole, `{"failed":[null]}`: whole, `{"failed":[7.5]}`: whole,
		`{"failed":["` + batch[0].ID.String() + `"]}`: whole, `{"failed":[true]}`: whole,
		`{"failed":[7],"padding":"` + strings.Repeat("x", readAnswer) + `"}`: whole,
	} {
		target := receiver(t, delivery.HTTPTarget{}, 3, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		err := deliver(t, target, batch...)
		got := ""
		var partial *delivery.PartialError
		var answered *delivery.ResponseError
		switch {
		case errors.As(err, &partial):
			failed := make(map[int]string)
			for i, err := range partial.Failed {
				outcome, _ := delivery.OutcomeOf(err)
				failed[i] = fmt.Sprint(err, " ", outcome)
			}
			got = fmt.Sprint(failed)
		case errors.As(err, &answered):
			got = whole
		case err != nil:
			got = err.Error()
		}
		if got != want {
			t.Errorf("%.200s means %s, want %s: %v", body, got, want, err)
		}
	}
}

// TestKeysOfQuestions: what differs has different keys, whatever is in them.
func TestKeysOfQuestions(t *testing.T) {
	var keys []string
	target := receiver(t, delivery.HTTPTarget{}, 1, func(_ http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
	})
	for _, key := range []string{"a b", "a%20b"} {
		if _, err := target.Ask(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	if keys[0] == keys[1] {
		t.Errorf("two questions have the key %s", keys[0])
	}
}
