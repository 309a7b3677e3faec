package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// Belongings are what an App has on a log, besides events, and tables of its modules.
type Belongings struct {
	App string `json:"app"`
	// Projections are the read models, and what makes snapshots.
	Projections   []string `json:"projections"`
	Subscriptions []string `json:"subscriptions"`
	DeadLetters   int64    `json:"dead_letters"`
	// Processes are those that run some of them, or would, and operations that run.
	Processes []string `json:"-"`
}

// Belongings returns what the App has on the log.
func (s *Service) Belongings(ctx context.Context) (Belongings, error) {
	b := Belongings{App: s.App.Name, Projections: []string{}, Subscriptions: []string{}}
	generations, err := s.Admin.List(ctx)
	if err != nil {
		return b, err
	}
	for _, g := range generations {
		b.Projections, b.Processes = append(b.Projections, g.Projection), append(b.Processes, g.Owner)
	}
	b.Projections = slices.Compact(b.Projections)
	for _, name := range b.Projections {
		last, err := s.Admin.Operations(ctx, name)
		if err != nil {
			return b, err
		}
		for _, op := range last {
			if op.State == operations.Running {
				b.Processes = append(b.Processes, fmt.Sprintf("operation %s on %s", op.ID, name))
			}
		}
	}
	members, err := s.Subscriptions.Members(ctx)
	if err != nil {
		return b, err
	}
	b.Processes = append(b.Processes, members...)
	subscriptions, err := s.Subscriptions.List(ctx)
	for _, one := range subscriptions {
		b.Subscriptions, b.DeadLetters = append(b.Subscriptions, one.Name), b.DeadLetters+one.Dead
		for _, p := range one.Partitions {
			b.Processes = append(b.Processes, p.Owner)
		}
	}
	slices.Sort(b.Processes)
	b.Processes = slices.Compact(b.Processes)
	b.Processes = slices.DeleteFunc(b.Processes, func(process string) bool { return process == "" })
	return b, err
}

// LeaveLog takes the App off the log: its Belongings and tokens are removed, and its name. Events stay, and tables of its modules; what other
// Apps have is not touched. The App may come back as one that has never been there. What was done before an error stays done.
//
// Errors: projections.ErrInUse while a process runs any of it, or would; nothing was done then, unless one began meanwhile.
func (s *Service) LeaveLog(ctx context.Context, actor string) (Belongings, error) {
	b, err := s.Belongings(ctx)
	if err != nil {
		return b, err
	}
	if len(b.Processes) > 0 {
		return b, fmt.Errorf("take app %q off the log: %w: stop %s", s.App.Name, projections.ErrInUse, strings.Join(b.Processes, ", "))
	}
	// Projections can be had again from the log, subscriptions with their dead letters cannot: they go last.
	for _, name := range b.Projections {
		if _, err := s.Admin.Drop(ctx, name, 0, "the app leaves the log", actor); err != nil {
			return b, err
		}
	}
	for _, name := range b.Subscriptions {
		if err := s.Subscriptions.Delete(ctx, name, 0, true, actor); err != nil {
			return b, err
		}
	}
	if err := s.Subscriptions.Purge(ctx); err != nil {
		return b, err
	}
	if err := s.Tokens.Purge(ctx); err != nil {
		return b, err
	}
	return b, s.Admin.Leave(ctx)
}
