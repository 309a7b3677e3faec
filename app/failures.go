package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/queries"
	"github.com/57528e99/recount/sagas"
)

// failureInterval is how long a process waits with the next warning about a subscription or a saga.
const failureInterval = time.Minute

// failureLog bounds what is said of failures: of each subject one in an interval, with how many there were since the last.
type failureLog struct {
	mu   sync.Mutex
	said map[string]failuresSaid
}

// failuresSaid is when something was said last of a subject, and how much was not since.
type failuresSaid struct {
	at   time.Time
	more int
}

// warn returns the warning about n failures of a subject at a time; nil: it is not the time.
func (l *failureLog) warn(to *zerolog.Logger, now time.Time, subject string, n int) *zerolog.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, told := l.said[subject]
	if told && now.Sub(last.at) < failureInterval {
		last.more += n
		l.said[subject] = last
		return nil
	}
	if l.said == nil {
		l.said = make(map[string]failuresSaid)
	}
	l.said[subject] = failuresSaid{at: now}
	warning := to.Warn()
	if more := last.more + n - 1; more > 0 {
		warning = warning.Int("more", more)
	}
	return warning
}

// deliveryFailed warns of an attempt with events that failed for the first time, or are dead letters now.
func (s *Service) deliveryFailed(o delivery.Observation) {
	if len(o.Failed) == 0 {
		return
	}
	e, name, what := o.Failed[0], o.Subscription, "an event failed, and is tried again"
	if o.Replay != "" {
		name = o.Replay
	}
	subject := "subscription " + name
	if e.Next.IsZero() {
		subject, what = "dead "+name, "an event failed, and is a dead letter"
	}
	warning := s.failures.warn(&s.Logger, time.Now(), subject, len(o.Failed))
	if warning != nil && !e.Next.IsZero() {
		warning = warning.Str("again_at", e.Next.UTC().Format(time.RFC3339))
	}
	warning.Str("subscription", name).Str("event", e.Type).Str("stream", e.Stream).Int64("position", e.Position).Str("error", e.Error).
		Str("hint", fmt.Sprintf("%s subscriptions explain %s %d%s", s.App.Program, hint.Quote(name), e.Position, hint.SchemaFlag(s.Schema))).Msg(what)
}

// sagaFailed warns of a step that failed for a mistake in the program.
func (s *Service) sagaFailed(f sagas.Mistake) {
	s.failures.warn(&s.Logger, time.Now(), "saga "+f.Saga, 1).Str("saga", f.Saga).Str("instance", f.ID).Str("step", f.Step).Str("error", f.Error).
		Str("hint", fmt.Sprintf("%s sagas show %s %s%s", s.App.Program, hint.Quote(f.Saga), hint.Quote(f.ID), hint.SchemaFlag(s.Schema))).
		Msg("a step failed for a mistake in the program or its definition")
}

// SagaMistakes says how many instances of a saga failed within a day for a mistake in the program, and why the last of them did.
type SagaMistakes struct {
	Saga      string
	Instances int64
	ID        string
	Error     string
}

const sagaMistakesSQL = `
SELECT DISTINCT ON (saga) saga, count(*) OVER (PARTITION BY saga) AS instances, id, error
FROM {saga_instances} WHERE status = $1 AND code = $2 AND changed_at > now() - interval '1 day' ORDER BY saga, changed_at DESC`

// SagaMistakes returns a line for each saga that has any.
func (s *Service) SagaMistakes(ctx context.Context) ([]SagaMistakes, error) {
	return queries.SQL[SagaMistakes](ctx, s.Reader, eventstore.Token{}, sagaMistakesSQL, string(sagas.Failed), sagas.CodeDefinition)
}
