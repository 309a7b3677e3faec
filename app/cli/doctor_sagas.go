package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/queries"
	"github.com/57528e99/recount/sagas"
)

// findingsOfSagas are those about instances that need somebody, at least one for each saga.
func (prog *Program) findingsOfSagas(ctx context.Context, s *app.Service, flags string) (found []finding) {
	counts, err := s.SagaCounts(ctx)
	if err != nil { // why the read model cannot be read, its projection says
		return []finding{{findingWarning, "sagas", message(err), prog.hintFor(err)}}
	}
	wrong, err := s.SagaMistakes(ctx)
	if err != nil {
		return []finding{{findingWarning, "sagas", message(err), prog.hintFor(err)}}
	}
	for _, name := range s.Sagas.Names() {
		subject := "saga " + name
		ok := true
		warn := func(hint, format string, args ...any) {
			ok = false
			hint = strings.NewReplacer("{saga}", name, "{flags}", flags).Replace(prog.hints().Fill(hint))
			found = append(found, finding{findingWarning, subject, fmt.Sprintf(format, args...), hint})
		}
		for _, c := range counts {
			if c.Saga != name {
				continue
			}
			if c.Status == string(sagas.Stuck) {
				warn("{program} sagas ls {saga} --status stuck{flags} lists them; {program} sagas retry or skip decides",
					"%d instances of version %d have a step that cannot be undone, one of them since %s", c.Instances, c.Definition, c.Oldest.UTC().Format(time.RFC3339))
			}
			if c.Definition > 0 && !s.Sagas.Has(name, c.Definition) {
				warn("run a program that has it beside this one, or {program} sagas migrate them", "%d instances, %s, go by version %d, which this program has not", c.Instances, c.Status, c.Definition)
			}
			if c.Events >= sagas.WarnEvents {
				warn("{program} sagas ls {saga}{flags} says which", "an instance, %s, has %d events; with %d it fails", c.Status, c.Events, sagas.MaxEvents)
			}
		}
		for _, w := range wrong {
			if w.Saga == name {
				warn("{program} sagas show {saga} "+hint.Quote(w.ID)+"{flags}", "%d instances failed within a day for a mistake in the program or its definition, the last one with: %s", w.Instances, w.Error)
			}
		}
		if late, err := lateTimer(ctx, s, name); err != nil {
			warn("", "%s", message(err))
		} else if late != nil {
			warn("start a process with {program} serve --roles delivery,projections of a program that has the version", "instance %s was to be told at %s that the time of step %s has come, and was not", late.Key.ID,
				late.Row.FireAt.UTC().Format(time.RFC3339), late.Key.Step)
		}
		if ok {
			found = append(found, finding{State: findingOK, Subject: subject})
		}
	}
	return found
}

// lateTimer returns the first timer of a saga that should have been told long since; nil: there is none.
func lateTimer(ctx context.Context, s *app.Service, saga string) (*queries.Item[sagas.TimerKey, sagas.TimerRow], error) {
	page, err := queries.Find(ctx, s.Reader, sagas.Timers, queries.List{Where: map[string]any{"saga": saga}, OrderBy: "fire_at", Limit: 1, Token: eventstore.Token{}})
	switch {
	case errors.Is(err, queries.ErrBehind): // which its projection says
		return nil, nil
	case err != nil || len(page.Items) == 0 || s.Sagas.Now().Sub(page.Items[0].Row.FireAt) < lagPatience:
		return nil, err
	}
	return &page.Items[0], nil
}
