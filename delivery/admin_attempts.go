package delivery

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// AttemptRecord is a try to deliver an event.
type AttemptRecord struct {
	Attempt int       `json:"attempt"`
	At      time.Time `json:"at"`
	// Milliseconds is how long it took.
	Milliseconds float64 `json:"milliseconds"`
	// Outcome is done, transient, permanent, throttled, gone, stop, undecodable; or superseded, by an event that was appended in
	// its place.
	Outcome string `json:"outcome"`
	// Charged says that it counted against the event.
	Charged bool   `json:"charged"`
	Class   string `json:"class,omitempty"`
	// Status is that of HTTP; 0: there was none.
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
	// Answer is the beginning of what the target answered.
	Answer string `json:"answer,omitempty"`
	// Sent are the headers that were sent, without secrets, where the target tells.
	Sent    jsontext.Value `json:"sent,omitempty"`
	Process string         `json:"process"`
}

const (
	attemptColumns = `attempt, at, took / 1000.0::float8, outcome, charged, coalesce(class, ''), coalesce(status, 0), coalesce(error, ''), coalesce(answer, ''),
       coalesce(sent, ''), process`

	attemptsOfSQL = `SELECT position, ` + attemptColumns + `
FROM {schema}.subscription_attempts WHERE subscription = $1 AND position = $2 ORDER BY at LIMIT 1000`

	// In the order of the index that finds those of an event.
	latestAttemptsSQL = `SELECT position, ` + attemptColumns + `
FROM {schema}.subscription_attempts
WHERE subscription = $1 AND position <= $2 AND (position, at) < ($2, $3) AND ($4 = 0 OR position = $4) AND NOT ($5 AND outcome = 'done')
ORDER BY position DESC, at DESC LIMIT $6`
)

// EventAttempt is a try to deliver the event at a position; 0: it was none of the log, but a test.
type EventAttempt struct {
	Position int64 `json:"position"`
	AttemptRecord
}

func scanAttempt(row pgx.CollectableRow) (a EventAttempt, err error) {
	var sent string
	err = row.Scan(&a.Position, &a.Attempt, &a.At, &a.Milliseconds, &a.Outcome, &a.Charged, &a.Class, &a.Status, &a.Error, &a.Answer, &sent, &a.Process)
	a.At = a.At.UTC()
	if sent != "" {
		a.Sent = jsontext.Value(sent)
	}
	return a, err
}

// attempts returns those of an event, the first first.
func (r *records) attempts(ctx context.Context, db interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}, id, position int64) ([]AttemptRecord, error) {
	rows, err := db.Query(ctx, r.sql(attemptsOfSQL), id, position)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (AttemptRecord, error) {
		e, err := scanAttempt(row)
		return e.AttemptRecord, err
	})
}

// shown returns an attempt as those that are kept are shown.
func (a *attempt) shown(process string) *AttemptRecord {
	r := &AttemptRecord{Attempt: a.Attempt, At: eventstore.Microseconds(a.At), Milliseconds: float64(a.Took.Microseconds()) / 1000, Outcome: a.Outcome,
		Charged: a.Charged, Class: a.Class, Status: a.Status, Error: a.Error, Answer: a.Answer, Process: process}
	if a.Sent != "" {
		r.Sent = jsontext.Value(a.Sent)
	}
	return r
}

// AttemptsQuery says which attempts to list.
type AttemptsQuery struct {
	// Position is that of the event. Default: those of all events.
	Position int64
	// Failed leaves out what was delivered.
	Failed bool
	// Limit is from 1 to 1,000. Default: 100.
	Limit int
	// Cursor is that of the page before. Default: the first page.
	Cursor string
}

// Attempts returns a page of the attempts that are kept, those of the last events of the log first and of each event the last
// first, and the cursor of the next page, empty if there is none.
//
// Errors: ErrNotFound, operations.ErrInvalid for a limit or a cursor that is none.
func (a *Admin) Attempts(ctx context.Context, name string, q AttemptsQuery) (page []EventAttempt, next string, err error) {
	page, next, err = a.latestAttempts(ctx, name, q)
	if err != nil {
		return nil, "", fmt.Errorf("list attempts of subscription %q: %w", name, err)
	}
	return page, next, nil
}

func (a *Admin) latestAttempts(ctx context.Context, name string, q AttemptsQuery) (page []EventAttempt, next string, err error) {
	if q.Limit == 0 {
		q.Limit = deadLimit
	}
	if q.Limit < 1 || q.Limit > maxDeadLimit {
		return nil, "", operations.InvalidOption("limit", "is %d, it must be from 1 to %d", q.Limit, maxDeadLimit)
	}
	position, at := int64(1<<62), time.Now().AddDate(1, 0, 0)
	if q.Cursor != "" {
		if position, at, err = parseAttemptCursor(q.Cursor); err != nil {
			return nil, "", err
		}
	}
	s, err := a.records.find(ctx, a.records.pool, name, "")
	if err != nil {
		return nil, "", err
	}
	rows, err := a.records.pool.Query(ctx, a.records.sql(latestAttemptsSQL), s.id, position, at, q.Position, q.Failed, q.Limit+1)
	if err != nil {
		return nil, "", err
	}
	if page, err = pgx.CollectRows(rows, scanAttempt); err != nil || len(page) <= q.Limit {
		return page, "", err
	}
	last := page[q.Limit-1]
	return page[:q.Limit], strconv.FormatInt(last.Position, 36) + "-" + strconv.FormatInt(last.At.UnixMicro(), 36), nil
}

func parseAttemptCursor(text string) (position int64, at time.Time, err error) {
	first, second, _ := strings.Cut(text, "-")
	position, err = strconv.ParseInt(first, 36, 64)
	micros, err2 := strconv.ParseInt(second, 36, 64)
	if err != nil || err2 != nil || position < 0 || micros < 0 {
		return 0, at, operations.InvalidOption("after", "must be the cursor of the page before")
	}
	return position, time.UnixMicro(micros), nil
}
