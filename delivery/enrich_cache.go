package delivery

import (
	linked "container/list"
	"sync"
	"time"
)

// maxEnrichBytes is how many bytes all answers have that one cache remembers.
const maxEnrichBytes = 64 << 20

// nothingTTL is how long it is remembered at most that there is nothing: it may be there soon.
const nothingTTL = 10 * time.Second

// answers remembers what was answered last, by what was asked for. It is safe for concurrent use.
type answers struct {
	ttl  time.Duration
	size int

	mu    sync.Mutex
	by    map[string]*linked.Element
	used  linked.List // of answer, the last that was used first
	bytes int
}

type answer struct {
	question string
	body     []byte // nil: there is nothing
	until    time.Time
}

func newAnswers(ttl time.Duration, size int) *answers {
	return &answers{ttl: ttl, size: size, by: make(map[string]*linked.Element)}
}

// get returns an answer that still holds.
func (a *answers) get(question string, now time.Time) (body []byte, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.by[question]
	if at == nil {
		return nil, false
	}
	known := at.Value.(*answer)
	if !now.Before(known.until) {
		a.forget(at)
		return nil, false
	}
	a.used.MoveToFront(at)
	return known.body, true
}

// put remembers an answer to what was asked at a time.
func (a *answers) put(question string, body []byte, asked time.Time) {
	if a.ttl == 0 || len(body) > maxEnrichBytes/2 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := a.by[question]; at != nil {
		a.forget(at)
	}
	ttl := a.ttl
	if body == nil {
		ttl = min(ttl, nothingTTL)
	}
	a.by[question] = a.used.PushFront(&answer{question, body, asked.Add(ttl)})
	for a.bytes += len(question) + len(body); len(a.by) > a.size || a.bytes > maxEnrichBytes; {
		a.forget(a.used.Back())
	}
}

func (a *answers) forget(at *linked.Element) {
	old := a.used.Remove(at).(*answer)
	delete(a.by, old.question)
	a.bytes -= len(old.question) + len(old.body)
}
