package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// maxSaid and maxRequests bound what a failed test shows of the log of a process, in bytes and in
// lines about requests, of which there may be so many that nothing else is left.
const (
	maxSaid     = 30_000
	maxRequests = 10
)

// lastOf returns the end of a process's log: of requests that did not end in an error the last
// few, of all the rest what there is room for.
func lastOf(text string) string {
	lines, requests := strings.SplitAfter(text, "\n"), 0
	for i, line := range slices.Backward(lines) {
		if strings.Contains(line, `"message":"request"`) && !strings.Contains(line, `"level":"error"`) {
			if requests++; requests > maxRequests {
				lines[i] = ""
			}
		}
	}
	text = strings.Join(lines, "")
	return text[max(0, len(text)-maxSaid):]
}

// transcript keeps what was written, and lets others wait for it.
type transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

// Write implements io.Writer.
func (r *transcript) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
	return r.text.Write(b)
}

func (r *transcript) read() (text string, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String(), r.changed
}

// await waits until the text matches, and returns the match and its groups. It fails if over is
// closed before.
func (r *transcript) await(t *testing.T, pattern string, over <-chan struct{}) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for {
		text, changed := r.read()
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		select {
		case <-changed:
		case <-over:
			if text, _ = r.read(); !re.MatchString(text) {
				t.Fatalf("it ended without saying %q:\n%s", pattern, text)
			}
		case <-timeout:
			t.Fatalf("it did not say %q:\n%s", pattern, text)
		}
	}
}
