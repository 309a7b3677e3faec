package tokens

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/security"
)

// TypeRefused is the type of events in AuditStream about requests that were refused.
const TypeRefused = "$AccessRefused"

// Refusal is requests that were refused for who sent them, as a process tells of them at once: the first of a principal and a reason at once,
// then every ten seconds those that came since. It is lost with a process that dies.
type Refusal struct {
	App string `json:"app"`
	// Principal and Reason are whose requests, as far as that is known, and why: see package security.
	Principal string `json:"principal,omitempty"`
	Reason    string `json:"reason"`
	// Count is how many. The rest is of the last one.
	Count    int             `json:"count"`
	Token    string          `json:"token,omitempty"`
	Action   security.Action `json:"action"`
	Resource string          `json:"resource,omitempty"`
	Method   string          `json:"method"`
	Route    string          `json:"route"`
}

const (
	// tellInterval is how long a process waits with the next event about a principal and a reason.
	tellInterval = 10 * time.Second
	// tellTimeout bounds an append, flushTimeout what a process that stops waits for the last.
	tellTimeout  = 5 * time.Second
	flushTimeout = time.Second
	// maxTold bounds the principals and reasons that are told of by themselves. There are as many principals as tokens.
	maxTold = 2 * MaxLive
)

// Refusals tells the log of requests that were refused: however many there are, little of it. It is safe for concurrent use.
type Refusals struct {
	log    eventstore.Appender
	app    string
	failed func(error)
	wake   chan struct{}
	loop   background.Service

	mu      sync.Mutex
	digests map[refusalKey]*refusals
}

type refusalKey struct{ principal, reason string }

// refusals are to be told of if their Count is not 0, and when they are due.
type refusals struct {
	Refusal
	due time.Time
}

// NewRefusals returns what tells a log of an App's refusals. Failed is told why that is interrupted.
func NewRefusals(log eventstore.Appender, app string, failed func(error)) *Refusals {
	return &Refusals{log: log, app: app, failed: failed, wake: make(chan struct{}, 1), digests: make(map[refusalKey]*refusals)}
}

// Add tells of a refusal, soon. Its App and Count are filled in.
func (l *Refusals) Add(r Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := refusalKey{r.Principal, r.Reason}
	d := l.digests[key]
	if d == nil {
		if len(l.digests) >= maxTold {
			return
		}
		d = &refusals{}
		l.digests[key] = d
	}
	r.App, r.Count = l.app, d.Count+1
	d.Refusal = r
	if r.Count == 1 {
		background.Wake(l.wake)
	}
}

// Start tells until Stop.
func (l *Refusals) Start(ctx context.Context) error {
	return l.loop.Start(ctx, func(context.Context) ([]background.Task, error) { return []background.Task{l.run}, nil })
}

// Stop tells of what is left, and ends.
func (l *Refusals) Stop(ctx context.Context) error { return l.loop.Stop(ctx) }

func (l *Refusals) run(ctx, hard context.Context) {
	loop := background.Loop{Idle: time.Second, Wake: l.wake, Failed: func(err error, _ time.Duration) { l.failed(err) }}
	_ = loop.Run(ctx, func(ctx context.Context) (background.Next, error) { return background.Idle, l.tell(ctx, time.Now()) })
	ctx, cancel := context.WithTimeout(context.WithoutCancel(hard), flushTimeout)
	defer cancel()
	if err := l.tell(ctx, time.Now().Add(tellInterval)); err != nil {
		l.failed(err)
	}
}

// tell appends what is due.
func (l *Refusals) tell(ctx context.Context, now time.Time) error {
	all := l.take(now)
	if len(all) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	a := eventstore.StreamAppend{Stream: AuditStream, Expected: eventstore.Any}
	for _, r := range all {
		data, err := json.Marshal(r)
		if err != nil {
			return err
		}
		a.Events = append(a.Events, eventstore.Event{ID: uuid.Must(uuid.NewV7()), Type: TypeRefused, SchemaVersion: 1, Data: data})
	}
	_, err := l.log.Append(ctx, a, eventstore.AppendOptions{System: true})
	if err != nil {
		l.putBack(all)
	}
	return err
}

// maxAtOnce bounds the events of an append.
const maxAtOnce = 100

// take returns what is due, in order of principals.
func (l *Refusals) take(now time.Time) (all []Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, d := range l.digests {
		switch {
		case now.Before(d.due) || len(all) == maxAtOnce:
		case d.Count == 0:
			delete(l.digests, key)
		default:
			all = append(all, d.Refusal)
			d.Count, d.due = 0, now.Add(tellInterval)
		}
	}
	slices.SortFunc(all, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}

// putBack lets what could not be told be told with what comes later.
func (l *Refusals) putBack(all []Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range all {
		d := l.digests[refusalKey{r.Principal, r.Reason}]
		if d.Count > 0 {
			d.Count += r.Count
		} else {
			d.Refusal = r
		}
		d.due = time.Time{}
	}
}
