package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// Status is what is known of a subscription.
type Status struct {
	Name string `json:"name"`
	// Definition is with what it left out filled in, and without secrets: it has only where they are found.
	Definition Definition       `json:"definition"`
	Revision   int64            `json:"revision"`
	State      operations.State `json:"state"`
	// App is the App that it belongs to; empty: none.
	App string `json:"app,omitempty"`
	// StartPosition is that of the event behind which it began.
	StartPosition int64 `json:"start_position"`
	// Failure is why it has stopped, until it is resumed.
	Failure *operations.Failure `json:"failure,omitempty"`
	// LagEvents is how many positions of its source the furthest behind of its partitions has before it, and LagSeconds the
	// age of the first of them; nil: that is not known.
	LagEvents  *int64   `json:"lag_events"`
	LagSeconds *float64 `json:"lag_seconds"`
	InFlight   int      `json:"in_flight"`
	// Parked are rows of events that wait, Dead those that are not tried again by themselves.
	Parked int64 `json:"parked"`
	Dead   int64 `json:"dead"`
	// OldestDeadAt is since when there are dead letters.
	OldestDeadAt *time.Time `json:"oldest_dead_at,omitempty"`
	// Halving is set while it is to have fewer partitions.
	Halving    *Halving          `json:"halving,omitempty"`
	Partitions []PartitionStatus `json:"partitions"`
	CreatedAt  time.Time         `json:"created_at"`
	CreatedBy  string            `json:"created_by"`
	UpdatedAt  time.Time         `json:"updated_at"`
	// ReplayOf is the subscription that it is a replay of; empty: it is none.
	ReplayOf string `json:"replay_of,omitempty"`
	// Replays are its replays that run, or have dead letters. They are not listed beside it.
	Replays []string `json:"replays,omitempty"`
	// NoMember says that no process that delivers can run its target.
	NoMember bool `json:"no_member,omitempty"`

	unreadable error // why this program does not know the definition, nil: it does
	partitions int
	end        int64 // up to where it reads; 0: without end
}

// Halving is how far a subscription is on the way to fewer partitions.
type Halving struct {
	To int `json:"to"`
	// Barrier is where all partitions meet; 0: not all have said how far they have read.
	Barrier int64 `json:"barrier,omitempty"`
	// Missing are the partitions that are not there yet.
	Missing []int `json:"missing"`
}

// PartitionStatus is what is known of a partition.
type PartitionStatus struct {
	Partition int `json:"partition"`
	// Owner is the process that delivers; empty: none does.
	Owner string `json:"owner,omitempty"`
	Epoch int64  `json:"epoch"`
	// Revision is the one of the definition that it goes by.
	Revision int64 `json:"revision"`
	// Position is its cursor: all that matches at or below is delivered, or parked or dead.
	Position int64 `json:"position"`
	// Filled is of a subscription that is pulled: up to there all that matches is acknowledged or has a row, and Position is
	// below the lowest that is not acknowledged. Pulled says that somebody asks for events.
	Filled int64 `json:"filled,omitempty"`
	Pulled bool  `json:"pulled,omitempty"`
	// LagEvents and LagSeconds are as in Status.
	LagEvents  *int64   `json:"lag_events"`
	LagSeconds *float64 `json:"lag_seconds"`
	// Rate is how many positions a second it passes, ETASeconds in how many seconds it is at the end of the log if it
	// goes on so; nil: that is not known.
	Rate           *float64            `json:"rate,omitempty"`
	ETASeconds     *float64            `json:"eta_seconds,omitempty"`
	InFlight       int                 `json:"in_flight"`
	OldestInFlight *time.Time          `json:"oldest_in_flight,omitempty"`
	Parked         int64               `json:"parked"`
	Dead           int64               `json:"dead"`
	Matched        int64               `json:"matched"`
	Delivered      int64               `json:"delivered"`
	LastEventAt    *time.Time          `json:"last_event_at,omitempty"`
	LastError      *operations.Trouble `json:"last_error,omitempty"`
	// Trouble is what keeps it from getting on.
	Trouble *operations.Trouble `json:"trouble,omitempty"`
	// Breaker is "open" while the target is taken for down, and NextProbe when it is tried next.
	Breaker        string     `json:"breaker,omitempty"`
	NextProbe      *time.Time `json:"next_probe,omitempty"`
	ThrottledUntil *time.Time `json:"throttled_until,omitempty"`
	// Full are keys whose parked events keep it from reading on.
	Full []string `json:"full,omitempty"`
	// Stuck are attempts that should have returned, the oldest first, ten at most.
	Stuck []StuckAttempt `json:"stuck,omitempty"`

	token  eventstore.Token
	read   int64 // how far its owner's process has read; 0: unknown
	report report
	fresh  bool // the report is of a living owner, and not old
	idle   bool // the owner, which is alive, has said that all it has read is done, and nothing else since
	readTo *int64
}

// reportTTL is for how long what an owner has said of itself is taken for true.
const reportTTL = 3 * idleInterval / 2

var (
	statusSQL = `
SELECT s.id, s.name, s.app, s.definition, s.revision, s.desired = 'paused', s.partitions, coalesce(s.halving_to, 0), coalesce(s.barrier, 0), s.start_position,
       s.stopped_at, coalesce(s.stopped_position, 0), coalesce(s.failure, ''), coalesce(s.failure_reason, ''),
       s.created_at, s.created_by, s.updated_at,
       s.needs <> 'pull' AND NOT EXISTS (SELECT FROM {schema}.subscription_members m WHERE m.app = s.app AND s.needs = ANY (m.can_run) AND s.id <> ALL (m.aside) AND ` + alive + `),
       coalesce(s.replay, '{}'),
       ARRAY(SELECT r.name FROM {schema}.subscriptions r WHERE r.replay_of = s.id AND r.name IS NOT NULL ORDER BY r.id)
FROM {schema}.subscriptions s
WHERE s.name IS NOT NULL AND ($1 = '' OR s.app = $1) AND ($2::text[] IS NULL AND s.replay_of IS NULL OR s.name = ANY ($2))
ORDER BY s.name`

	partitionsSQL = `
SELECT p.subscription, p.partition, coalesce(m.process, ''), p.epoch, p.revision, p.log_id, p.incarnation, p.position, p.read_to,
       p.matched, p.delivered, p.last_event_at, p.trouble, p.trouble_at, coalesce(p.report, ''),
       coalesce(p.reported_at BETWEEN now() - $2::interval AND now() AND m.id IS NOT NULL, false), coalesce(m.read_to, 0),
       coalesce(p.filled, 0), coalesce(p.swept_at BETWEEN now() - $2::interval AND now(), false)
FROM {schema}.subscription_partitions p
LEFT JOIN {schema}.subscription_members m ON m.id = p.member AND ` + alive + `
WHERE p.subscription = ANY ($1) ORDER BY p.subscription, p.partition`

	rowCountsSQL = `
SELECT c.*, (SELECT r.error FROM {schema}.subscription_parked r
             WHERE r.subscription = c.subscription AND r.partition = c.partition AND r.last_failed_at = c.failed_at LIMIT 1)
FROM (SELECT subscription, partition, count(*) FILTER (WHERE state NOT IN ('dead', 'leased')), count(*) FILTER (WHERE state = 'leased'),
             min(leased_at) FILTER (WHERE state = 'leased'), count(*) FILTER (WHERE state = 'dead'), min(dead_at),
             max(last_failed_at) AS failed_at
      FROM {schema}.subscription_parked WHERE subscription = ANY ($1) GROUP BY subscription, partition) AS c`
)

// List returns the status of all subscriptions of the App, ordered by name.
func (a *Admin) List(ctx context.Context) ([]Status, error) {
	all, err := a.status(ctx)
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", err)
	}
	return all, nil
}

const (
	pageOfSQL = `
SELECT name FROM {schema}.subscriptions WHERE replay_of IS NULL AND ($1 = '' OR app = $1) AND name > $2 AND name < $3 ORDER BY name LIMIT $4`

	// As the index on owners has it.
	pageOfOwnerSQL = `
SELECT name FROM {schema}.subscriptions
WHERE replay_of IS NULL AND ($1 = '' OR app = $1) AND name > $2 AND name < $3 AND (definition::jsonb ->> 'owner') = $5 ORDER BY name LIMIT $4`
)

// ListQuery picks subscriptions.
type ListQuery struct {
	// After and Before bound their names, which are not among them. Owner is that of their definitions; empty: any.
	After, Before, Owner string
	// Limit is how many are wanted at most.
	Limit int
}

// ListPage returns the status of some subscriptions of the App, ordered by name.
func (a *Admin) ListPage(ctx context.Context, q ListQuery) ([]Status, error) {
	sql, args := pageOfSQL, []any{a.records.app, q.After, q.Before, q.Limit}
	if q.Owner != "" {
		sql, args = pageOfOwnerSQL, append(args, q.Owner)
	}
	rows, err := a.records.pool.Query(ctx, a.records.sql(sql), args...)
	var names []string
	if err == nil {
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	var all []Status
	if err == nil && len(names) > 0 {
		all, err = a.status(ctx, names...)
	}
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", err)
	}
	return all, nil
}

// Get returns the status of a subscription. The error may match ErrNotFound or ErrAnotherApp.
func (a *Admin) Get(ctx context.Context, name string) (Status, error) {
	all, err := a.status(ctx, name)
	if err == nil && len(all) == 0 {
		if _, err = a.records.find(ctx, a.records.pool, name, ""); err == nil {
			err = ErrNotFound // it was made just now
		}
	}
	if err != nil {
		return Status{}, fmt.Errorf("subscription %q: %w", name, err)
	}
	return all[0], nil
}

// status returns the status of the subscriptions that have the names, of all if there are none, ordered by name.
func (a *Admin) status(ctx context.Context, names ...string) ([]Status, error) {
	var all []Status
	byID := make(map[int64]*Status)
	err := pgx.BeginTxFunc(ctx, a.records.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		var ids []int64
		if all, ids, err = a.readStatus(ctx, tx, names); err != nil || len(all) == 0 {
			return err
		}
		for i, id := range ids {
			byID[id] = &all[i]
		}
		if err := a.readPartitions(ctx, tx, ids, byID); err != nil {
			return err
		}
		return a.countRows(ctx, tx, ids, byID)
	})
	if err != nil || len(all) == 0 {
		return all, err
	}
	// The heads after the cursors, so that nobody seems to be ahead of them.
	sources := make(map[string]*measure)
	for i := range all {
		source := all[i].Definition.Source
		m := sources[source.String()]
		if m == nil {
			m = &measure{a: a.of(&all[i].Definition), isLog: source.Changes == nil, recorded: make(map[int64]time.Time)}
			if m.head, err = m.a.log.Head(ctx); err != nil {
				return nil, fmt.Errorf("read %s: %w", source, err)
			}
			sources[source.String()] = m
		}
		if err := m.subscription(ctx, &all[i]); err != nil {
			return nil, fmt.Errorf("read %s: %w", source, err)
		}
		all[i].setState()
		if f := all[i].Failure; f != nil && a.hints != nil {
			f.Hint = a.hints(string(f.Reason), all[i].Name, a.records.schema)
		}
	}
	return all, nil
}

func (a *Admin) readStatus(ctx context.Context, tx pgx.Tx, names []string) (all []Status, ids []int64, err error) {
	rows, err := tx.Query(ctx, a.records.sql(statusSQL), a.records.app, names)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s Status
		var id int64
		var text, replay string
		var paused bool
		var halving int
		var barrier int64
		var failure stoppedColumns
		into := append([]any{&id, &s.Name, &s.App, &text, &s.Revision, &paused, &s.partitions, &halving, &barrier, &s.StartPosition}, failure.into()...)
		if err := rows.Scan(append(into, &s.CreatedAt, &s.CreatedBy, &s.UpdatedAt, &s.NoMember, &replay, &s.Replays)...); err != nil {
			return nil, nil, err
		}
		if s.Definition, s.unreadable = parseStored(text); s.unreadable != nil {
			s.Definition = Definition{Name: s.Name}
		}
		var of Replay
		if err := json.Unmarshal([]byte(replay), &of); err != nil {
			return nil, nil, fmt.Errorf("subscription %s: %w", s.Name, err)
		}
		s.ReplayOf, s.end = of.Subscription, of.To
		s.Definition.Paused, s.Failure = paused, failure.failure()
		s.CreatedAt, s.UpdatedAt = s.CreatedAt.UTC(), s.UpdatedAt.UTC()
		if halving > 0 {
			s.Halving = &Halving{To: halving, Barrier: barrier, Missing: []int{}}
		}
		all, ids = append(all, s), append(ids, id)
	}
	return all, ids, rows.Err()
}

func (a *Admin) readPartitions(ctx context.Context, tx pgx.Tx, ids []int64, byID map[int64]*Status) error {
	rows, err := tx.Query(ctx, a.records.sql(partitionsSQL), ids, reportTTL)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var p PartitionStatus
		var trouble *string
		var troubleAt, lastEventAt *time.Time
		var text string
		if err := rows.Scan(&id, &p.Partition, &p.Owner, &p.Epoch, &p.Revision, &p.token.Log, &p.token.Incarnation, &p.Position, &p.readTo,
			&p.Matched, &p.Delivered, &lastEventAt, &trouble, &troubleAt, &text, &p.fresh, &p.read, &p.Filled, &p.Pulled); err != nil {
			return err
		}
		p.token.Position = p.Position
		// What another program has written need not be known here.
		known := p.Owner != "" && json.Unmarshal([]byte(text), &p.report) == nil
		if lastEventAt != nil {
			p.LastEventAt = new(lastEventAt.UTC())
		}
		s := byID[id]
		switch {
		case s.unreadable != nil:
			p.Trouble = &operations.Trouble{Error: s.unreadable.Error(), At: s.UpdatedAt}
		case trouble != nil && troubleAt != nil:
			p.Trouble = &operations.Trouble{Error: *trouble, At: troubleAt.UTC()}
		}
		p.fresh, p.idle = p.fresh && known, known && p.report.Idle
		p.tell()
		s.Partitions = append(s.Partitions, p)
	}
	return rows.Err()
}

// tell shows what the owner has said.
func (p *PartitionStatus) tell() {
	if !p.fresh {
		return
	}
	r := &p.report
	p.Rate, p.InFlight, p.OldestInFlight = &r.Rate, r.InFlight, r.Oldest
	p.NextProbe, p.ThrottledUntil, p.Full, p.Stuck = r.NextProbe, r.Throttled, r.Full, r.Stuck
	if r.Breaker != nil {
		p.Breaker = *r.Breaker
	}
}

func (a *Admin) countRows(ctx context.Context, tx pgx.Tx, ids []int64, byID map[int64]*Status) error {
	rows, err := tx.Query(ctx, a.records.sql(rowCountsSQL), ids)
	if err != nil {
		return err
	}
	var id, parked, letters int64
	var partition, held int
	var oldest, failedAt, heldAt *time.Time
	var text *string
	_, err = pgx.ForEachRow(rows, []any{&id, &partition, &parked, &held, &heldAt, &letters, &oldest, &failedAt, &text}, func() error {
		s := byID[id]
		s.Parked, s.Dead = s.Parked+parked, s.Dead+letters
		if oldest != nil && (s.OldestDeadAt == nil || oldest.Before(*s.OldestDeadAt)) {
			s.OldestDeadAt = new(oldest.UTC())
		}
		if partition < len(s.Partitions) {
			p := &s.Partitions[partition]
			p.Parked, p.Dead = parked, letters
			if held > 0 {
				p.InFlight, p.OldestInFlight = held, new(heldAt.UTC())
			}
			if failedAt != nil && text != nil {
				p.LastError = &operations.Trouble{Error: *text, At: failedAt.UTC()}
			}
		}
		return nil
	})
	return err
}

// States returns the states of a subscription.
func States() []operations.State {
	return []operations.State{operations.Running, operations.CatchingUp, operations.Retrying, operations.Paused, operations.NoOwner, operations.Failed}
}

// setState derives the state, once everything else is known.
func (s *Status) setState() {
	owner, trouble := false, false
	for i := range s.Partitions {
		p := &s.Partitions[i]
		// One that is pulled has an owner while somebody asks, and needs none while there is nothing to have.
		owner = owner || p.Owner != "" || s.Definition.Target.Pull != nil && (p.Pulled || p.LagEvents != nil && *p.LagEvents == 0)
		trouble = trouble || s.Partitions[i].Trouble != nil
	}
	switch {
	case s.Failure != nil:
		s.State = operations.Failed
	case s.Definition.Paused:
		s.State = operations.Paused
	case !owner:
		s.State = operations.NoOwner
	case trouble:
		s.State = operations.Retrying
	case s.LagSeconds == nil || *s.LagSeconds > 1:
		s.State = operations.CatchingUp
	default:
		s.State = operations.Running
	}
}
