package apptest

import (
	"context"
	"errors"
	"maps"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/mail/inbox"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// Test is an App that runs for a test. What goes wrong with the App itself, rather than with a
// command, fails the test: above all a fold that stops. It is safe for concurrent use.
type Test struct {
	// Service is what runs.
	Service *app.Service

	t  testing.TB
	mu sync.Mutex
	// reported are the folds whose failure the test was told.
	reported map[string]bool
	inbox    *inbox.Inbox
	// delivered are the positions up to which Deliver has come, by subscription, attempts how often it has tried the event there.
	delivered map[string]int64
	attempts  map[string]delivery.Attempts
	clock     *clock
}

// thisMachine is what targets and steps by HTTP may connect to beside public addresses, for servers of a test.
var thisMachine = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// New runs an App in memory until the test ends.
func New(t testing.TB, a app.App) *Test {
	t.Helper()
	box, server := startInbox(t)
	clock := new(clock)
	s, err := app.InMemory(a, app.Options{Logger: logger(t), MailServer: server, AllowTargets: thisMachine, Now: clock.now})
	return start(t, s, box, clock, err)
}

// Of returns a Test of a Service that the test has started, and closes: to look at it.
func Of(t testing.TB, s *app.Service) *Test {
	return &Test{Service: s, t: t, reported: make(map[string]bool), delivered: make(map[string]int64), attempts: make(map[string]delivery.Attempts), clock: new(clock)}
}

// startInbox starts a mail server that ends with the test.
func startInbox(t testing.TB) (*inbox.Inbox, *delivery.MailServer) {
	t.Helper()
	box, err := inbox.Start(inbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	server := box.Server()
	return box, &server
}

// Mails returns the mails that the App has sent, the first first. One that was sent again is there once, see inbox.Mail.Copies.
func (x *Test) Mails() []inbox.Mail {
	mails := x.inbox.Mails()
	slices.Reverse(mails)
	return mails
}

// logger writes warnings and errors to the test's log.
func logger(t testing.TB) zerolog.Logger {
	return zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)
}

func start(t testing.TB, s *app.Service, box *inbox.Inbox, clock *clock, err error) *Test {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	x := &Test{Service: s, inbox: box, t: t, reported: make(map[string]bool), delivered: make(map[string]int64), attempts: make(map[string]delivery.Attempts), clock: clock}
	t.Cleanup(func() {
		x.checkProjections()
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return x
}

// Do runs a command by its name: "category.command" on the stream with an id, or a unit, whose id
// is empty. Fields with a tag of package app that are empty are filled in. The error is that of the
// command, see commands.Handler.Handle: compare it with errors.Is.
func (x *Test) Do(name, id string, command any, options ...commands.Options) error {
	x.t.Helper()
	var o commands.Options
	for _, o = range options {
	}
	_, err := x.Service.Do(x.t.Context(), name, id, command, o)
	x.checkFolds()
	return err
}

// Given appends events to a stream, whatever commands would say.
func (x *Test) Given(stream string, events ...any) {
	x.t.Helper()
	a := eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any}
	for _, value := range events {
		e, err := x.Service.Commands.Codec().Encode(value)
		if err != nil {
			x.t.Fatal(err)
		}
		a.Events = append(a.Events, e)
	}
	if _, err := x.Service.Log.Append(x.t.Context(), a, eventstore.AppendOptions{}); err != nil {
		x.t.Fatal(err)
	}
	x.checkFolds()
}

// Events returns the events of a stream; none, if it does not exist.
func (x *Test) Events(stream string) (all []any) {
	x.t.Helper()
	for e, err := range x.Service.Log.ReadStream(x.t.Context(), stream, eventstore.ReadOptions{}) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			return nil
		}
		if err != nil {
			x.t.Fatal(err)
		}
		value, err := x.Service.Commands.Codec().Decode(e.Event)
		if err != nil {
			x.t.Fatal(err)
		}
		all = append(all, value)
	}
	return all
}

// State returns the state of a stream, of the type that its aggregate has: the zero value, if the
// stream does not exist.
func (x *Test) State(stream string) any {
	x.t.Helper()
	state, _, err := x.Service.Commands.State(x.t.Context(), stream, commands.Moment{})
	if err != nil {
		x.t.Fatal(err)
	}
	return state
}

// Request has the App's routes answer a request. A body is sent as JSON; headers are "Name: value".
// A GET sees everything that was written before it.
func (x *Test) Request(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	x.t.Helper()
	r := httptest.NewRequestWithContext(x.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if method == "GET" {
		if head := x.head(); head.Position > 0 {
			r.Header.Set("Consistency-Token", head.String())
			r.Header.Set("Prefer", "wait=9")
		}
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Set(name, strings.TrimSpace(value))
	}
	w := httptest.NewRecorder()
	x.Service.API.ServeHTTP(w, r)
	x.checkFolds()
	return w
}

// Row returns the row of a fold that has a key, after everything that was written.
func Row[K comparable, R any](x *Test, f *projections.Fold[K, R], key K) (row R, found bool) {
	x.t.Helper()
	row, err := queries.Get(queries.WithWait(x.t.Context(), patience), x.Service.Reader, f, key, x.head())
	if errors.Is(err, queries.ErrNotFound) {
		return row, false
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return row, true
}

// Rows returns all rows of a fold in the order of their keys, after everything that was written.
func Rows[K comparable, R any](x *Test, f *projections.Fold[K, R]) (all []queries.Item[K, R]) {
	x.t.Helper()
	for l := (queries.List{Limit: queries.MaxLimit, Token: x.head()}); ; {
		page, err := queries.Find(queries.WithWait(x.t.Context(), patience), x.Service.Reader, f, l)
		if err != nil {
			x.t.Fatal(err)
		}
		all = append(all, page.Items...)
		if l.Cursor = page.Next; l.Cursor == "" {
			return all
		}
	}
}

// patience is how long projections have to see what was written.
const patience = 30 * time.Second

func (x *Test) head() eventstore.Token {
	x.t.Helper()
	head, err := x.Service.Log.Head(x.t.Context())
	if err != nil {
		x.t.Fatal(err)
	}
	return head
}

// checkFolds tells the test of folds in memory that have stopped.
func (x *Test) checkFolds() {
	x.t.Helper()
	if x.Service.Rows == nil {
		return
	}
	if _, err := x.Service.Rows.Follow(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	failures := x.Service.Rows.Failures()
	for _, name := range slices.Sorted(maps.Keys(failures)) {
		if !x.reported[name] {
			x.reported[name] = true
			x.t.Error(failures[name])
		}
	}
}

// checkProjections tells the test of projections that have stopped.
func (x *Test) checkProjections() {
	x.t.Helper()
	if x.Service.Admin == nil {
		return
	}
	all, err := x.Service.Admin.List(context.WithoutCancel(x.t.Context()))
	if err != nil {
		x.t.Error(err)
	}
	for _, p := range all {
		if p.Failure != nil {
			x.t.Errorf("projection %s: event %s at position %d: %s", p.Projection, p.Failure.Type, p.Failure.Position, p.Failure.Error)
		}
	}
}
