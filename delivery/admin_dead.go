package delivery

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// DeadFilter picks dead letters. Fields that are set must all match.
type DeadFilter struct {
	Positions []int64 `json:"positions,omitempty"`
	// Class is permanent, exhausted or expired.
	Class string `json:"class,omitempty"`
	// Type and Stream are those of the event.
	Type   string `json:"type,omitempty"`
	Stream string `json:"stream,omitempty"`
	// Error is a part of the text.
	Error string `json:"error,omitempty"`
	// Since and Until bound when it died: from Since on, before Until.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// IsZero reports whether the filter picks all.
func (f DeadFilter) IsZero() bool {
	return len(f.Positions) == 0 && f.Class == "" && f.Type == "" && f.Stream == "" && f.Error == "" && f.Since.IsZero() && f.Until.IsZero()
}

// DeadLetter is an event that is not tried again by itself.
type DeadLetter struct {
	Position  int64     `json:"position"`
	EventID   uuid.UUID `json:"event_id"`
	Type      string    `json:"type"`
	Stream    string    `json:"stream"`
	Key       string    `json:"key"`
	Partition int       `json:"partition"`
	// Class is why it is dead, Error the last failure.
	Class    string `json:"class"`
	Error    string `json:"error"`
	Attempts int    `json:"attempts"`
	// Redriven says that it was tried again before, and died again.
	Redriven      bool       `json:"redriven,omitempty"`
	FirstFailedAt *time.Time `json:"first_failed_at,omitempty"`
	LastFailedAt  *time.Time `json:"last_failed_at,omitempty"`
	DeadAt        *time.Time `json:"dead_at,omitempty"`
	// Wanted is what an operator wants done with it, which is not done yet: redrive or discard.
	Wanted string `json:"wanted,omitempty"`
}

// DeadQuery is a page of dead letters.
type DeadQuery struct {
	DeadFilter
	// Limit is from 1 to 1,000. Default: 100. A page of a list that is filtered by type or stream may have less before the
	// end: the cursor says whether there is more.
	Limit int
	// Cursor is that of the page before. Default: the first page.
	Cursor string
}

const (
	deadLimit    = 100
	maxDeadLimit = 1000
	// scanLimit is how many rows a page looks at, at most.
	scanLimit = 20_000
)

const deadSQL = `
SELECT position, key, partition, coalesce(class, ''), coalesce(error, ''), attempts, redrive, first_failed_at, last_failed_at, dead_at, coalesce(wanted, '')
FROM {schema}.subscription_parked
WHERE subscription = $1 AND position > $2 AND state = 'dead'
AND ($3::bigint[] IS NULL OR position = ANY ($3)) AND ($4 = '' OR class = $4) AND ($5 = '' OR strpos(error, $5) > 0)
AND ($6::timestamptz IS NULL OR dead_at >= $6) AND ($7::timestamptz IS NULL OR dead_at < $7)
ORDER BY position LIMIT $8`

func (f *DeadFilter) args() []any {
	var positions []int64
	if len(f.Positions) > 0 {
		positions = f.Positions
	}
	return []any{positions, f.Class, f.Error, orNull(f.Since), orNull(f.Until)}
}

// Dead returns a page of the dead letters of a subscription, by position, and the cursor of the next page, empty if there is
// none.
//
// Errors: ErrNotFound, operations.ErrInvalid for a limit or a cursor that is none.
func (a *Admin) Dead(ctx context.Context, name string, q DeadQuery) (letters []DeadLetter, next string, err error) {
	letters, next, err = a.dead(ctx, name, q)
	if err != nil {
		return nil, "", fmt.Errorf("list dead letters of subscription %q: %w", name, err)
	}
	return letters, next, nil
}

func (a *Admin) dead(ctx context.Context, name string, q DeadQuery) (letters []DeadLetter, next string, err error) {
	if q.Limit == 0 {
		q.Limit = deadLimit
	}
	if q.Limit < 1 || q.Limit > maxDeadLimit {
		return nil, "", operations.InvalidOption("limit", "is %d, it must be from 1 to %d", q.Limit, maxDeadLimit)
	}
	var after int64
	if q.Cursor != "" {
		if after, err = strconv.ParseInt(q.Cursor, 36, 64); err != nil || after < 0 {
			return nil, "", operations.InvalidOption("after", "must be the cursor of the page before")
		}
	}
	s, err := a.records.find(ctx, a.records.pool, name, "")
	if err != nil {
		return nil, "", err
	}
	a = a.of(&s.definition)
	letters = []DeadLetter{}
	for scanned := 0; scanned < scanLimit; {
		page, err := a.readDead(ctx, s.id, &q.DeadFilter, after, q.Limit+1)
		if err != nil {
			return nil, "", err
		}
		scanned += len(page)
		for i := range page {
			if !q.matches(&page[i]) {
				after = page[i].Position
				continue
			}
			if len(letters) == q.Limit {
				return letters, strconv.FormatInt(after, 36), nil
			}
			letters, after = append(letters, page[i]), page[i].Position
		}
		if len(page) <= q.Limit {
			return letters, "", nil
		}
	}
	return letters, strconv.FormatInt(after, 36), nil
}

// matches reports whether a letter is of the type and stream.
func (f *DeadFilter) matches(l *DeadLetter) bool {
	return (f.Type == "" || l.Type == f.Type) && (f.Stream == "" || l.Stream == f.Stream)
}

// readDead returns the dead letters behind a position, at most limit, whatever type and stream they are of.
func (a *Admin) readDead(ctx context.Context, id int64, f *DeadFilter, after int64, limit int) ([]DeadLetter, error) {
	rows, err := a.records.pool.Query(ctx, a.records.sql(deadSQL), append(append([]any{id, after}, f.args()...), limit)...)
	if err != nil {
		return nil, err
	}
	letters, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l DeadLetter, err error) {
		err = row.Scan(&l.Position, &l.Key, &l.Partition, &l.Class, &l.Error, &l.Attempts, &l.Redriven, &l.FirstFailedAt, &l.LastFailedAt, &l.DeadAt, &l.Wanted)
		for _, t := range []*time.Time{l.FirstFailedAt, l.LastFailedAt, l.DeadAt} {
			if t != nil {
				*t = t.UTC()
			}
		}
		return l, err
	})
	if err != nil {
		return nil, err
	}
	return letters, a.addEvents(ctx, letters)
}

// addEvents reads of which events the letters are. They are in order of position.
func (a *Admin) addEvents(ctx context.Context, letters []DeadLetter) error {
	positions := make([]int64, 0, len(letters))
	for i := range letters {
		positions = append(positions, letters[i].Position)
	}
	left := letters
	for e, err := range a.log.ReadAll(ctx, eventstore.ReadOptions{Positions: slices.Compact(positions)}) {
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		for ; len(left) > 0 && left[0].Position <= e.Position; left = left[1:] {
			if l := &left[0]; l.Position == e.Position {
				l.EventID, l.Type, l.Stream = e.ID, e.Type, e.Stream
			}
		}
	}
	return nil
}

// DeadGroup are dead letters that died of the same.
type DeadGroup struct {
	Class string `json:"class"`
	Error string `json:"error"`
	Count int64  `json:"count"`
	// First and Last are the lowest and the highest of their positions.
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	// OldestAt and NewestAt are when the first and the last of them died.
	OldestAt time.Time `json:"oldest_at"`
	NewestAt time.Time `json:"newest_at"`
}

const groupsSQL = `
SELECT coalesce(class, ''), coalesce(error, ''), count(*), min(position), max(position), coalesce(min(dead_at), to_timestamp(0)), coalesce(max(dead_at), to_timestamp(0))
FROM {schema}.subscription_parked WHERE subscription = $1 AND state = 'dead'
GROUP BY class, error ORDER BY 3 DESC, 4 LIMIT 100`

// DeadGroups returns the dead letters of a subscription by class and message, the largest groups first, at most 100.
func (a *Admin) DeadGroups(ctx context.Context, name string) ([]DeadGroup, error) {
	s, err := a.records.find(ctx, a.records.pool, name, "")
	var groups []DeadGroup
	if err == nil {
		var rows pgx.Rows
		if rows, err = a.records.pool.Query(ctx, a.records.sql(groupsSQL), s.id); err == nil {
			groups, err = pgx.CollectRows(rows, pgx.RowToStructByPos[DeadGroup])
		}
	}
	if err != nil {
		return nil, fmt.Errorf("group dead letters of subscription %q: %w", name, err)
	}
	for i := range groups {
		groups[i].OldestAt, groups[i].NewestAt = groups[i].OldestAt.UTC(), groups[i].NewestAt.UTC()
	}
	return groups, nil
}

// DeadLetterDetails is all that there is to say about a dead letter.
type DeadLetterDetails struct {
	DeadLetter
	// Event is the event as it is delivered.
	Event Event `json:"-"`
	// History are the attempts that are kept, the first first, at most 1,000.
	History []AttemptRecord `json:"history"`
}

// DeadLetter returns a dead letter with its event and attempts.
//
// Errors: ErrNotFound, ErrNoDeadLetter.
func (a *Admin) DeadLetter(ctx context.Context, name string, position int64) (DeadLetterDetails, error) {
	d, err := a.deadLetter(ctx, name, position)
	if err != nil {
		return d, fmt.Errorf("dead letter of subscription %q at position %d: %w", name, position, err)
	}
	return d, nil
}

func (a *Admin) deadLetter(ctx context.Context, name string, position int64) (d DeadLetterDetails, err error) {
	s, err := a.records.find(ctx, a.records.pool, name, "")
	if err != nil {
		return d, err
	}
	a = a.of(&s.definition)
	letters, err := a.readDead(ctx, s.id, &DeadFilter{Positions: []int64{position}}, 0, 1)
	if err != nil {
		return d, err
	}
	if len(letters) == 0 {
		return d, ErrNoDeadLetter
	}
	d.DeadLetter = letters[0]
	if d.History, err = a.records.attempts(ctx, a.records.pool, s.id, position); err != nil {
		return d, err
	}
	e, err := a.eventFrom(ctx, position)
	if err != nil {
		return d, err
	}
	head, err := a.log.Head(ctx)
	d.Event = Event{RecordedEvent: &e, MessageID: MessageID(head.Log, &e), Key: d.Key}
	return d, err
}
