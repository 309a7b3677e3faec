package cli_test

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/sagas"
)

type shelf struct{}

type bookDue struct {
	Title string `json:"title"`
}

func (bookDue) Evolve(s shelf) shelf { return s }

type remind bookDue

func (c remind) Decide(shelf) ([]bookDue, error) { return []bookDue{bookDue(c)}, nil }

// lines are those of a log, as they are written.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(text)
}

func (l *lines) find(pattern string) [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return regexp.MustCompile(pattern).FindAll(l.all.Bytes(), -1)
}

// TestWhatFailsIsSaid, once a minute, by the log of the process and by doctor: events that a handler does not take, and sagas with mistakes.
func TestWhatFailsIsSaid(t *testing.T) {
	t.Parallel()
	books := app.NewAggregate[shelf, bookDue]("book", "/v1/books").Events(app.Event[bookDue]("BookDue", 1)).Commands(app.Do[remind]("remind"))
	library := app.App{Name: "library", Modules: []app.Module{{Name: "books", Aggregates: []app.Aggregate{books},
		Sagas: []*sagas.Saga{sagas.Define("recall", 1, func(s *sagas.Steps[bookDue]) {
			s.Command("ask", func(b bookDue) sagas.Command {
				return sagas.Command{Name: "book.remind", ID: b.Title, Command: remind(b)}
			})
		})},
		Subscriptions: []delivery.Subscription{{Handler: delivery.Handle("overdue-notices", func(context.Context, bookDue, delivery.Event) error {
			return errors.New("bob has no address")
		})}},
	}}}
	db, log := pgtest.New(t), new(lines)
	if _, err := library.MigrateUp(t.Context(), db.Direct, db.Schema); err != nil {
		t.Fatal(err)
	}
	s, err := app.Open(t.Context(), library, app.Options{DSN: db.DSN, Schema: db.Schema, MaxConns: 8, Logger: zerolog.New(log).Level(zerolog.WarnLevel)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.WithoutCancel(t.Context()))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"b1", "b2", "b3"} {
		if _, err := s.Do(t.Context(), "book.remind", id, remind{id}, commands.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Sagas.Do(t.Context(), "recall", "r1", sagas.Begin{ID: "r1"}, commands.Options{}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	await := func(what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s did not come; the log is\n%s\ndoctor says\n%s", what, log.find(`.*`), &out)
			}
		}
	}
	failed := `"subscription":"overdue-notices","event":"BookDue","stream":"book-b\d","position":\d+,"error":"bob has no address",` +
		`"hint":"library subscriptions explain overdue-notices \d+( --schema \w+)?","message":"an event failed, and is tried again"`
	await("a warning of the handler", func() bool { return len(log.find(failed)) > 0 })
	mistake := `"saga":"recall","instance":"r1","step":"ask","error":"[^"]*must be said of command book.remind[^"]*","hint":"library sagas show recall r1`
	await("a warning of the saga", func() bool { return len(log.find(mistake)) > 0 })
	await("what doctor finds", func() bool {
		out.Reset()
		prog := cli.New(library)
		prog.Stdout, prog.Stderr, prog.Getenv = &out, &out, func(string) string { return "" }
		code := prog.Run(t.Context(), []string{"doctor", "--database", db.DSN, "--schema", db.Schema})
		return code == 0 && regexp.MustCompile(`warning +subscription overdue-notices +3 events failed, .* with: bob has no address\n +hint: library subscriptions show overdue-notices`).Match(out.Bytes()) &&
			regexp.MustCompile(`warning +saga recall +1 instances failed within a day .*must be said of command book.remind of a saga\n +hint: library sagas show recall r1`).Match(out.Bytes())
	})
	if n := len(log.find(`"subscription":"overdue-notices"`)); n != 1 {
		t.Errorf("the log has %d lines about the handler, which failed for three events at once", n)
	}
}
