package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
)

// The types of the events in which processes that deliver tell the log how their subscriptions are. Their data is an Alert.
// Subscriptions get those whose filter names their type.
const (
	// TypeEventParked: events failed for the first time, and are tried again.
	TypeEventParked = "$EventParked"
	// TypeDeadLetter: events failed that are not tried again by themselves.
	TypeDeadLetter = "$DeadLetter"
	// TypeBreakerOpened and TypeBreakerClosed: the target is taken for down, and no longer, by one process.
	TypeBreakerOpened = "$BreakerOpened"
	TypeBreakerClosed = "$BreakerClosed"
	// TypeSubscriptionStopped: nothing is delivered until an operator resumes it.
	TypeSubscriptionStopped = "$SubscriptionStopped"
)

const alertPrefix = "$delivery-"

// AlertStream returns the stream of the alerts about a subscription.
func AlertStream(subscription string) string { return alertPrefix + subscription }

// Alert is what a process tells of a subscription at once: the first time that something happens at once, then every ten
// seconds what happened since. It is written after what it tells of; with a process that dies it may be lost.
type Alert struct {
	Subscription string `json:"subscription"`
	Process      string `json:"process"`
	// Count is how many events were parked or died, or how often the rest happened.
	Count int `json:"count"`
	// FirstPosition and LastPosition are the lowest and the highest position of those events; 0: it is about none.
	FirstPosition int64 `json:"first_position,omitempty"`
	LastPosition  int64 `json:"last_position,omitempty"`
	// Class and Error, which has at most 1,000 bytes, are of the last of them. The Class of what is dead is permanent, exhausted
	// or expired, that of a subscription that has stopped the reason in its status.
	Class string `json:"class,omitempty"`
	Error string `json:"error,omitempty"`
}

const (
	// alertInterval is how long a process waits with the next alert of a type about a subscription.
	alertInterval = 10 * time.Second
	// alertTimeout bounds an append of one.
	alertTimeout = 5 * time.Second
	// flushTimeout bounds what a process that stops waits for the last.
	flushTimeout  = time.Second
	maxAlertError = 1000
)

// count adds one event.
func (a *Alert) count(position int64, class, text string) {
	a.add(Alert{Count: 1, FirstPosition: position, LastPosition: position, Class: class, Error: text})
}

// add adds what happened later.
func (a *Alert) add(later Alert) {
	a.Count += later.Count
	if first := later.FirstPosition; first > 0 && (a.FirstPosition == 0 || first < a.FirstPosition) {
		a.FirstPosition = first
	}
	a.LastPosition = max(a.LastPosition, later.LastPosition)
	if later.Class != "" || later.Error != "" {
		a.Class, a.Error = later.Class, later.Error
	}
}

// alerts appends what processes tell of subscriptions to the log: however much happens, little of it.
type alerts struct {
	// log is nil if nobody is told.
	log     eventstore.Appender
	process string
	logger  zerolog.Logger
	wake    chan struct{}

	mu      sync.Mutex
	digests map[digestKey]*digest
}

type digestKey struct{ subscription, kind string }

// digest is what is to be told, if its Count is not 0, and when it may be.
type digest struct {
	Alert
	due time.Time
}

func newAlerts(store eventstore.Reader, process string, logger zerolog.Logger) *alerts {
	log, _ := store.(eventstore.Appender)
	return &alerts{log: log, process: process, logger: logger, wake: make(chan struct{}, 1), digests: make(map[digestKey]*digest)}
}

// add tells of a subscription, soon.
func (l *alerts) add(subscription, kind string, a Alert) {
	if l.log == nil || a.Count == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := digestKey{subscription, kind}
	d := l.digests[key]
	if d == nil {
		d = &digest{}
		l.digests[key] = d
	}
	if d.Count == 0 {
		background.Wake(l.wake)
	}
	d.add(a)
}

// run tells until ctx is done.
func (l *alerts) run(ctx context.Context) {
	if l.log == nil {
		return
	}
	loop := background.Loop{Idle: time.Second, Wake: l.wake, Failed: func(err error, pause time.Duration) {
		l.logger.Warn().Err(err).Dur("pause", pause).Msg("telling the log of subscriptions was interrupted")
	}}
	_ = loop.Run(ctx, func(ctx context.Context) (background.Next, error) {
		err := l.tell(ctx, time.Now())
		if errors.Is(err, eventstore.ErrInvalid) {
			l.logger.Error().Err(err).Msg("the log does not take what is told of subscriptions")
			return background.Done, nil
		}
		return background.Idle, err
	})
}

// flush tells what is left, once run has ended.
func (l *alerts) flush(ctx context.Context) {
	if l.log == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := l.tell(ctx, time.Now().Add(alertInterval)); err != nil {
		l.logger.Warn().Err(err).Msg("the log was not told of all that became of subscriptions")
	}
}

// tell appends what may be told now.
func (l *alerts) tell(ctx context.Context, now time.Time) error {
	var failed []error
	for _, t := range l.take(now) {
		if err := l.append(ctx, t); err != nil {
			failed = append(failed, err)
			l.putBack(t)
		}
	}
	return errors.Join(failed...)
}

// telling is an alert that is being told.
type telling struct {
	digestKey
	Alert
}

// take returns what may be told now, in order of subscriptions.
func (l *alerts) take(now time.Time) (all []telling) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, d := range l.digests {
		switch {
		case now.Before(d.due):
		case d.Count == 0:
			delete(l.digests, key)
		default:
			all = append(all, telling{key, d.Alert})
			*d = digest{due: now.Add(alertInterval)}
		}
	}
	slices.SortFunc(all, func(a, b telling) int {
		return cmp.Or(strings.Compare(a.subscription, b.subscription), strings.Compare(a.kind, b.kind))
	})
	return all
}

// putBack lets what could not be told be told with what happened since.
func (l *alerts) putBack(t telling) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.digests[t.digestKey]
	t.Alert.add(d.Alert)
	d.Alert = t.Alert
}

func (l *alerts) append(ctx context.Context, t telling) error {
	ctx, cancel := context.WithTimeout(ctx, alertTimeout)
	defer cancel()
	a := t.Alert
	a.Subscription, a.Process = t.subscription, l.process
	a.Error = strings.ToValidUTF8(a.Error[:min(len(a.Error), maxAlertError)], "")
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	_, err = l.log.Append(ctx, eventstore.StreamAppend{Stream: AlertStream(t.subscription), Expected: eventstore.Any,
		Events: []eventstore.Event{{Type: t.kind, Data: data}}}, eventstore.AppendOptions{System: true})
	return err
}

// alert tells of the subscription. One that was given alerts tells nothing from then on: what comes of them must not become more of
// them, round after round.
func (s *running) alert(kind string, a Alert) {
	if !s.takesAlerts.Load() {
		s.runner.alerts.add(s.name, kind, a)
	}
}

// alertRows tells of rows that the database has by now.
func (s *running) alertRows(rows []core.Row) {
	var failed, died Alert
	for i := range rows {
		switch r := &rows[i]; {
		case r.State == core.Dead:
			died.count(r.Position, r.Class, r.Error)
		case r.New:
			failed.count(r.Position, r.Class, r.Error)
		}
	}
	s.alert(TypeEventParked, failed)
	s.alert(TypeDeadLetter, died)
}

// alertBreaker tells of the breaker if it has opened or closed since it was looked at last.
func (s *running) alertBreaker(b *core.BreakerStatus) {
	was := s.openSince
	s.openSince = b.Since
	if b.Since.Equal(was) {
		return
	}
	if !was.IsZero() {
		s.alert(TypeBreakerClosed, Alert{Count: 1})
	}
	if !b.Since.IsZero() {
		a := Alert{Count: 1}
		if last := s.lastFailure.Load(); last != nil {
			a.Class, a.Error = last.Class, last.Error
		}
		s.alert(TypeBreakerOpened, a)
	}
}

// namesAlerts reports whether the filter names types of alerts, or of other events of the store.
func (s *selector) namesAlerts() bool {
	return s.pattern != nil && slices.ContainsFunc(s.pattern.Types(), func(t string) bool { return strings.HasPrefix(t, "$") })
}

// isAlert reports whether an event is an alert.
func isAlert(e *eventstore.RecordedEvent) bool { return strings.HasPrefix(e.Stream, alertPrefix) }
