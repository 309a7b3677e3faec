package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// Replay delivers again what a subscription had, of a range of the log. It is a subscription of its own, whose definition is
// what the other one had when it was asked for, and an operation on that one, whose cursors it does not move.
type Replay struct {
	// Name is that of the subscription, '@' and a number that no other has. Deliveries say it, and status, pause, resume, dead
	// letters and Delete take it. It is there until it has ended and has no dead letters.
	Name string `json:"name,omitempty"`
	// Subscription is whose events come again.
	Subscription string `json:"subscription"`
	DryRun       bool   `json:"dry_run,omitempty"`
	// From and To are the positions of the first and the last event that may come again.
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// Filter is a pattern that events must match as well; empty: none.
	Filter json.RawMessage `json:"filter,omitempty"`
	// Target is where they go; nil: where those of the subscription go.
	Target *TargetConfig `json:"target,omitempty"`
	// Rate is how many events are tried in a second at most, by all processes together; 0: as many as can be.
	Rate        float64 `json:"rate,omitempty"`
	Reason      string  `json:"reason,omitempty"`
	RequestedBy string  `json:"requested_by,omitempty"`
	// State is running, done, failed or cancelled; empty: it is a dry run.
	State operations.State `json:"state,omitempty"`
	// Position is up to where all that matches was delivered, or is parked or dead.
	Position int64 `json:"position"`
	// Matched counts events that matched up to Position, in a dry run up to To, and Delivered those of them that were
	// delivered.
	Matched   int64 `json:"matched"`
	Delivered int64 `json:"delivered"`
	// Parked and Dead are rows that it has now: events that wait, and dead letters.
	Parked int64 `json:"parked"`
	Dead   int64 `json:"dead"`
	// Types has how many events of each type matched, in a dry run.
	Types map[string]int64 `json:"types,omitempty"`
	// Refused is why the target would refuse it, in a dry run.
	Refused string `json:"refused,omitempty"`
	// EventsPerSecond is how many matched in a second, since a process has watched it, SecondsLeft an estimate; nil: none can
	// be made.
	EventsPerSecond float64  `json:"events_per_second,omitempty"`
	SecondsLeft     *float64 `json:"seconds_left,omitempty"`
	// Waits says what keeps it from getting on; empty: nothing does.
	Waits      string     `json:"waits,omitempty"`
	Error      string     `json:"error,omitempty"`
	CreatedAt  *time.Time `json:"created_at,omitempty"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
}

// ReplayOptions are the choices of Admin.Replay.
type ReplayOptions struct {
	// From says the first event. Required.
	From Start
	// To says where it ends: at a position or an event, which is the last, before a time, or at the end that the log has now.
	// Default: the end.
	To Start
	// Filter is a pattern that events must match beside the subscription's. Default: none.
	Filter json.RawMessage
	// Target is where events go instead. Default: the subscription's.
	Target *TargetConfig
	// Rate bounds how many events are tried in a second, by all processes together: a replay that has one has one partition.
	// Default: 0, as many as can be. At least 0.001.
	Rate float64
	// Allow lets events come again to a target that refuses replays.
	Allow bool
	// DryRun counts what matches, and does nothing.
	DryRun bool
	// Reason is why, and is required but for a dry run. Actor is who.
	Reason, Actor string
}

var (
	// ErrReplaysRefused is returned by Replay for a target that is to have nothing twice.
	ErrReplaysRefused = eventstore.NewError(eventstore.ClassConflict, "the target refuses replays")
	// ErrReplayRunning is returned by Replay while another replay of the subscription runs.
	ErrReplayRunning = eventstore.NewError(eventstore.ClassConflict, "another replay of the subscription is running")
	// ErrIsReplay is returned for the name of a replay by what can be done with other subscriptions only.
	ErrIsReplay = eventstore.NewError(eventstore.ClassConflict, "the subscription is a replay")
)

// Replay begins to deliver events of a range again, to the same target or another, in all processes that deliver; Replays says
// how far it is, Delete with its name ends it. One of a subscription runs at a time.
//
// Errors: ErrNotFound, ErrReplaysRefused, ErrReplayRunning, ErrIsReplay; *InvalidError for places, a filter or a target that
// are not right; operations.ErrInvalid for other options.
func (a *Admin) Replay(ctx context.Context, name string, o ReplayOptions) (Replay, error) {
	r, err := a.replay(ctx, name, o)
	if err != nil {
		return r, fmt.Errorf("replay subscription %q: %w", name, err)
	}
	return r, nil
}

func (a *Admin) replay(ctx context.Context, name string, o ReplayOptions) (Replay, error) {
	r := Replay{Subscription: name, DryRun: o.DryRun, Filter: o.Filter, Target: o.Target, Rate: o.Rate,
		Reason: operations.SanitizeText(o.Reason), RequestedBy: operations.SanitizeText(o.Actor)}
	switch {
	case o.Reason == "" && !o.DryRun:
		return r, operations.InvalidOption("reason", "must say why")
	case !isRate(o.Rate):
		return r, invalidRate(o.Rate)
	}
	s, err := a.records.find(ctx, a.records.pool, name, "")
	if err != nil {
		return r, err
	}
	if err := r.check(s); err != nil {
		return r, err
	}
	a = a.of(&s.definition)
	at, err := a.replayed(ctx, &r, o)
	if err != nil {
		return r, err
	}
	if o.DryRun {
		if err := r.admit(s, o.Allow); err != nil {
			r.Refused = err.Error()
		}
		err := a.countReplay(ctx, s, &r)
		return r, err
	}
	err = a.records.inTx(ctx, func(tx pgx.Tx) error {
		s, err := a.records.find(ctx, tx, name, "NO KEY UPDATE")
		if err == nil {
			err = r.check(s)
		}
		if err == nil {
			err = r.admit(s, o.Allow)
		}
		if err == nil {
			err = a.beginReplay(ctx, tx, s, &r, at)
		}
		if err != nil {
			return err
		}
		return a.records.raise(ctx, tx)
	})
	return r, err
}

// ReplayMissing begins to deliver events that a subscription never had, as they were recorded at a time or later, before it
// began. It is a replay, of which the target refuses none, since it has had none of them. Where there are none it is done, with no name.
//
// Errors: those of Replay; operations.ErrInvalid for the zero time.
func (a *Admin) ReplayMissing(ctx context.Context, name string, since time.Time, actor string) (Replay, error) {
	fail := func(err error) (Replay, error) {
		return Replay{Subscription: name}, fmt.Errorf("replay what subscription %q is missing: %w", name, err)
	}
	if since.IsZero() {
		return fail(operations.InvalidOption("since", "must be a time: what was recorded since then is delivered"))
	}
	s, err := a.records.find(ctx, a.records.pool, name, "")
	if err != nil {
		return fail(err)
	}
	var began *int64
	if err := a.records.pool.QueryRow(ctx, a.records.sql(beganSQL), s.id).Scan(&began); err != nil {
		return fail(err)
	}
	head, err := a.log.Head(ctx)
	if err != nil {
		return fail(err)
	}
	from, err := a.of(&s.definition).resolve(ctx, Start{Time: since}, head)
	if err != nil {
		return fail(err)
	}
	if began == nil || from.Position+1 >= *began {
		return Replay{Subscription: name, From: from.Position + 1, To: from.Position, Position: from.Position, State: operations.Done}, nil
	}
	return a.Replay(ctx, name, ReplayOptions{From: Start{Position: from.Position + 1}, To: Start{Position: *began - 1}, Allow: true,
		Reason: "what it never had", Actor: actor})
}

// beganSQL is the first position that any of its partitions has judged, by any definition.
const beganSQL = `SELECT min(from_position) FROM {schema}.subscription_revision_starts WHERE subscription = $1`

// check reports what of a replay of a subscription is not right, but for its range, and fills its target in.
func (r *Replay) check(s *found) error {
	if s.replayOf != 0 {
		return fmt.Errorf("%w: replay %s instead", ErrIsReplay, s.replay.Subscription)
	}
	if string(r.Filter) == "null" {
		r.Filter = nil
	}
	c := &checker{}
	filter := Definition{Filter: r.Filter}
	c.filter(&filter)
	r.Filter = filter.Filter
	if r.Target != nil {
		d := s.definition
		d.Target = *r.Target
		var invalid *InvalidError
		if d, err := d.Checked(); errors.As(err, &invalid) {
			c.mistakes = append(c.mistakes, invalid.Mistakes...)
		} else {
			r.Target = &d.Target
		}
	}
	if target := cmp.Or(r.Target, &s.definition.Target); target.Pull != nil {
		c.wrong("/target", "must be one that events are sent to: where they are pulled, reset the subscription, or make another one that begins there")
	}
	if s.definition.Target.Window != nil || r.Target != nil && r.Target.Window != nil {
		c.wrong("/target", "must not be windows: what they have said is in the log; to count anew, reset the subscription to where it began")
	}
	if len(c.mistakes) > 0 {
		return &InvalidError{r.Subscription, c.mistakes}
	}
	return nil
}

// admit reports whether the target may get what it, or another one, had before. One that is named gets nothing twice; but what is
// appended is in the log for all.
func (r *Replay) admit(s *found, allow bool) error {
	switch {
	case allow:
	case r.Target == nil && s.definition.Replays != AllowReplays:
		return fmt.Errorf(`%w: the definition says "replays":"refuse", which is the default; if it may get events twice, say "replays":"allow" there, or allow it this once, `+
			`or name another target`, ErrReplaysRefused)
	case r.Target != nil && r.Target.Append != nil:
		return fmt.Errorf("%w: it would append events to the log, which all subscriptions get; allow it this once", ErrReplaysRefused)
	}
	return nil
}

// replayed sets the range of a replay, and returns the place before it.
func (a *Admin) replayed(ctx context.Context, r *Replay, o ReplayOptions) (eventstore.Token, error) {
	var mistakes []*FieldError
	head, err := a.log.Head(ctx)
	if err != nil {
		return head, fmt.Errorf("read the log: %w", err)
	}
	place := func(pointer string, s Start) (at eventstore.Token) {
		c := &checker{}
		if c.start(&s); len(c.mistakes) == 0 {
			var invalid *FieldError
			if at, err = a.resolve(ctx, s, head); errors.As(err, &invalid) {
				c.wrong("/start"+invalid.Pointer, "%s", invalid.Reason)
				err = nil
			}
		}
		mistakes = append(mistakes, startAt(pointer, c.mistakes)...)
		return at
	}
	if o.From == (Start{}) {
		mistakes = append(mistakes, &FieldError{"/from", "must be there: " + startForms})
	}
	from := place("/from", o.From)
	if err != nil {
		return from, err
	}
	to := place("/to", o.To)
	if err != nil {
		return from, err
	}
	r.From, r.To = from.Position+1, to.Position
	if o.To.Position > 0 {
		r.To = o.To.Position // it is the last, not the first that is left out
		if r.To > head.Position {
			mistakes = append(mistakes, &FieldError{"/to/position", fmt.Sprintf("must be at most %d, the end of the log", head.Position)})
		}
	}
	if len(mistakes) == 0 && r.From > r.To {
		mistakes = append(mistakes, &FieldError{"/to", fmt.Sprintf("is position %d, and from is %d: there is nothing between", r.To, r.From)})
	}
	if len(mistakes) > 0 {
		return from, &InvalidError{r.Subscription, mistakes}
	}
	return from, nil
}

// definition returns what the replay is as a subscription.
func (r *Replay) definition(d Definition) Definition {
	d.Name, d.Start, d.Paused = r.Name, Start{Position: r.From}, false
	if r.Target != nil {
		d.Target = *r.Target
	}
	if r.Rate > 0 {
		// One owner can count for all; it may try as many at once as the others together.
		d.MaxInFlight, d.Partitions = min(d.MaxInFlight*d.Partitions, 1000), 1
		if d.Batch.MaxEvents = mostAtOnce(d.Batch.MaxEvents, r.Rate); d.Batch.MaxEvents == 1 {
			d.Batch.Wait = 0
		}
	}
	return d
}

// countReplay counts what matches.
func (a *Admin) countReplay(ctx context.Context, s *found, r *Replay) error {
	sel, err := newSelector(&s.definition)
	if err == nil {
		err = sel.narrow(r.Filter)
	}
	if err != nil {
		return err
	}
	skips, err := a.records.skipped(ctx, s.id)
	if err != nil {
		return err
	}
	r.Types = make(map[string]int64)
	return a.eachMatch(ctx, sel, r.From, r.To, func(e *eventstore.RecordedEvent) {
		if !skips[e.Position] {
			r.Matched++
			r.Types[e.Type]++
		}
	})
}

// narrow lets events through only that match another pattern too; empty: any.
func (s *selector) narrow(filter json.RawMessage) (err error) {
	if len(filter) > 0 {
		s.also, err = pattern.Compile(filter)
	}
	return err
}
