package app_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/sagas"
)

// TestAnAppInUseLeavesNothing: whoever is at work, or would be, everything is there still when the App is not let go.
func TestAnAppInUseLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.New(t)
	desk := app.App{Name: "desk", Modules: []app.Module{{Name: "leaves", Sagas: []*sagas.Saga{
		sagas.Define("leave", 1, func(s *sagas.Steps[struct{}]) { s.Ask("approve", nil) }),
	}}}}
	open := func() *app.Service {
		s, err := app.Open(ctx, desk, app.Options{DSN: db.DSN, Schema: db.Schema, MaxConns: 8, Logger: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(context.WithoutCancel(ctx)); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	all := func(s *app.Service) app.Belongings {
		b, err := s.Belongings(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	running := open()
	if err := running.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for b := all(running); len(b.Projections) < 2 || len(b.Subscriptions) == 0; b = all(running) {
		time.Sleep(time.Millisecond)
	}
	if err := running.Close(ctx); err != nil {
		t.Fatal(err)
	}
	s := open()
	before := all(s)
	if len(before.Processes) > 0 {
		t.Fatalf("%q run something still", before.Processes)
	}
	exec := func(sql string, args ...any) {
		if _, err := db.Pool.Exec(ctx, pgsql.In(db.Schema, sql), args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, use := range []struct{ begin, end string }{
		{`INSERT INTO {schema}.operations (id, subject_kind, subject, kind, version, options, requested_by, epoch)
			VALUES ('` + uuid.NewString() + `', 'projection', '` + before.Projections[1] + `', 'verify', 1, '{}', 'ann', 1)`, `DELETE FROM {schema}.operations`},
		{`INSERT INTO {schema}.subscription_members (app, process, can_run, expires_at) VALUES ('desk', 'idle', '{}', now() + interval '1 minute')`,
			`DELETE FROM {schema}.subscription_members`},
	} {
		exec(use.begin)
		if _, err := s.LeaveLog(ctx, "ann"); !errors.Is(err, projections.ErrInUse) {
			t.Errorf("LeaveLog after %s = %v, want ErrInUse", use.begin, err)
		}
		exec(use.end)
		if now := all(s); len(now.Projections) != len(before.Projections) || len(now.Subscriptions) != len(before.Subscriptions) {
			t.Errorf("%+v is left of %+v", now, before)
		}
	}
	if _, err := s.LeaveLog(ctx, "ann"); err != nil {
		t.Error(err)
	}
	if b := all(s); len(b.Projections)+len(b.Subscriptions) > 0 {
		t.Errorf("%+v is left", b)
	}
}
