package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/57528e99/recount/projections"
)

// Belongings are what an App has on a log, besides events, and tables of its modules.
type Belongings struct {
	App string `json:"app"`
	// Projections are the read models, and what makes snapshots.
	Projections   []string `json:"projections"`
	Subscriptions []string `json:"subscriptions"`
	DeadLetters   int64    `json:"dead_letters"`
	// Processes are those that run some of them.
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
	subscriptions, err := s.Subscriptions.List(ctx)
	for _, one := range subscriptions {
		b.Subscriptions, b.DeadLetters = append(b.Subscriptions, one.Name), b.DeadLetters+one.Dead
		for _, p := range one.Partitions {
			b.Processes = append(b.Processes, p.Owner)
		}
	}
	slices.Sort(b.Processes)
	b.Projections, b.Processes = slices.Compact(b.Projections), slices.Compact(b.Processes)
	b.Processes = slices.DeleteFunc(b.Processes, func(process string) bool { return process == "" })
	return b, err
}

// LeaveLog takes the App off the log: its Belongings are removed, and its name. Events stay, and tables of its modules; what other
// Apps have is not touched. The App may come back as one that has never been there. What was done before an error stays done.
//
// Errors: projections.ErrInUse while a process runs any of it; nothing was done then.
func (s *Service) LeaveLog(ctx context.Context, actor string) (Belongings, error) {
	b, err := s.Belongings(ctx)
	if err != nil {
		return b, err
	}
	if len(b.Processes) > 0 {
		return b, fmt.Errorf("take app %q off the log: %w: stop %s", s.App.Name, projections.ErrInUse, strings.Join(b.Processes, ", "))
	}
	for _, name := range b.Subscriptions {
		if err := s.Subscriptions.Delete(ctx, name, 0, true, actor); err != nil {
			return b, err
		}
	}
	if err := s.Subscriptions.Purge(ctx); err != nil {
		return b, err
	}
	for _, name := range b.Projections {
		if _, err := s.Admin.Drop(ctx, name, 0, "the app leaves the log", actor); err != nil {
			return b, err
		}
	}
	return b, s.Admin.Leave(ctx)
}
