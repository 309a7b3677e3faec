package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/57528e99/recount/operations"
)

// Replays returns the replays of a subscription, the last first: the one that runs, and those that have ended, at most 100.
//
// Errors: ErrNotFound.
func (a *Admin) Replays(ctx context.Context, name string) ([]Replay, error) {
	all, err := a.replays(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("list replays of subscription %q: %w", name, err)
	}
	return all, nil
}

func (a *Admin) replays(ctx context.Context, name string) ([]Replay, error) {
	s, err := a.records.find(ctx, a.records.pool, name, "")
	if err != nil {
		return nil, err
	}
	// The rows first: one that has none any more has ended.
	rows, err := a.records.replaysOf(ctx, s.id)
	if err != nil {
		return nil, err
	}
	ops, err := a.records.replayOperations().Latest(ctx, name, maxReplays)
	all := make([]Replay, len(ops))
	for i := range ops {
		if err == nil {
			all[i], err = replayOf(&ops[i], rows)
		}
	}
	return all, err
}

// ReplaysThere returns those replays of all subscriptions of the App that run, or have ended and have dead letters, if no later one has begun.
func (a *Admin) ReplaysThere(ctx context.Context) (all []Replay, err error) {
	rows, err := a.records.replayRows(ctx, replaysSQL, a.records.app)
	var names []string
	for name := range rows {
		names = append(names, name[:max(strings.LastIndexByte(name, '@'), 0)])
	}
	var ops []operations.Operation
	if err == nil && len(names) > 0 {
		ops, err = a.records.replayOperations().LatestOfEach(ctx, names)
	}
	for i := range ops {
		r, failed := replayOf(&ops[i], rows)
		if err = cmp.Or(err, failed); rows[r.Name] != nil {
			all = append(all, r)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list replays: %w", err)
	}
	return all, nil
}

// replayOf returns the replay that is an operation. Rows are by name.
func replayOf(o *operations.Operation, rows map[string]*replayRow) (r Replay, err error) {
	if err := json.Unmarshal(o.Detail, &r); err != nil {
		return r, fmt.Errorf("read what operation %s is: %w", o.ID, err)
	}
	if len(o.Result) > 0 {
		if err := json.Unmarshal(o.Result, &r); err != nil {
			return r, fmt.Errorf("read what operation %s has done: %w", o.ID, err)
		}
	}
	r.State, r.EventsPerSecond, r.SecondsLeft, r.Error = o.State, o.EventsPerSecond, o.SecondsLeft, o.Error
	r.CreatedAt, r.FinishedAt = &o.CreatedAt, o.FinishedAt
	r.Parked, r.Dead = 0, 0
	if row := rows[r.Name]; row != nil {
		row.fill(&r)
	}
	if o.State != operations.Running {
		r.Waits = ""
	} else if o.Trouble != nil {
		r.Waits = cmp.Or(r.Waits, o.Trouble.Error)
	}
	return r, nil
}
