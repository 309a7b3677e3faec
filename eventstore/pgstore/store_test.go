package pgstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// newLog returns a database whose log is judged when the test ends.
func newLog(t *testing.T) *pgtest.DB {
	t.Helper()
	return logtest.New(t)
}

// open opens a store on db, and closes it when the test ends.
func open(t testing.TB, db *pgtest.DB, change ...func(*pgstore.Config)) *pgstore.Store {
	t.Helper()
	cfg := pgstore.Config{Pool: db.Pool}
	for _, f := range change {
		f(&cfg)
	}
	s, err := pgstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func happened(stream string, n int) eventstore.StreamAppend {
	return eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{
		{Type: "Happened", Data: fmt.Appendf(nil, `{"n":%d}`, n)},
	}}
}

// numbers returns the data of all events of the log.
func numbers(t *testing.T, s eventstore.Reader) []string {
	t.Helper()
	var data []string
	for e, err := range s.ReadAll(t.Context(), eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, string(e.Data))
	}
	return data
}

// recorded appends, and records what the caller is told.
func recorded(t *testing.T, r *logcheck.Recorder, client string, s eventstore.Appender, a eventstore.StreamAppend) error {
	t.Helper()
	p := r.Begin(logcheck.AppendOf(client, a, eventstore.AppendOptions{}))
	done, err := s.Append(t.Context(), a, eventstore.AppendOptions{})
	p.Answer(done, err)
	return err
}

// judge checks a log against all that its clients were told.
func judge(t *testing.T, r *logcheck.Recorder, db *pgtest.DB) {
	t.Helper()
	l, err := pglog.Read(t.Context(), db.Pool, db.Schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := r.History()
	logcheck.Test(t, logcheck.Check(&h, l, logcheck.Options{}))
}

func mustAppend(t *testing.T, s eventstore.Appender, a eventstore.StreamAppend) eventstore.Appended {
	t.Helper()
	done, err := s.Append(t.Context(), a, eventstore.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// eventually waits for a condition that another process brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
