package sagas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/queries"
)

// ErrNotFound is returned for an instance that there is not.
var ErrNotFound = eventstore.NewError(eventstore.ClassNotFound, "there is no such instance")

// AdminConfig says what an Admin works on. All but Subscriptions is required.
type AdminConfig struct {
	Engine *Engine
	// Reader has Instances, Log the streams of instances.
	Reader *queries.Reader
	Log    eventstore.Reader
	// Subscriptions has what the sagas get on by, and the attempts that are kept. Default: there is none.
	Subscriptions *delivery.Admin
}

// Admin is what operators see of instances, and do with them.
type Admin struct{ config AdminConfig }

// NewAdmin returns an Admin.
func NewAdmin(c AdminConfig) *Admin { return &Admin{c} }

// Summary is an instance in a list.
type Summary struct {
	Saga string `json:"saga"`
	ID   string `json:"id"`
	// Version is that of the definition; 0: it has not begun.
	Version int    `json:"version,omitempty"`
	Status  Status `json:"status"`
	// Step is the open one that began last, or one that cannot be undone; empty: there is none.
	Step string `json:"step,omitempty"`
	// Open are all that are open, are being undone or cannot be.
	Open []OpenStep `json:"open,omitempty"`
	// StartedAt is when it began, ChangedAt when something happened last, EndedAt when it ended.
	StartedAt time.Time  `json:"started_at"`
	ChangedAt time.Time  `json:"changed_at"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
	// Code and Error say why it failed.
	Code   string `json:"code,omitempty"`
	Error  string `json:"error,omitempty"`
	Events int64  `json:"events"`
}

func summaryOf(k InstanceKey, r InstanceRow) Summary {
	return Summary{Saga: k.Saga, ID: k.ID, Version: r.Definition, Status: Status(r.Status), Step: r.Step, Open: r.Open,
		StartedAt: r.StartedAt, ChangedAt: r.ChangedAt, EndedAt: r.EndedAt, Code: r.Code, Error: r.Error, Events: r.Events}
}

// Query says which instances to list: those that all that is set is true of. Step and ID need Saga; beside one of them nothing else may be set.
type Query struct {
	Saga   string
	Status Status
	// Step is that of Summary.
	Step string
	// ID is what the id begins with. They are then listed by id.
	ID string
	// Before is before when something happened last, to find what stands still.
	Before time.Time
	// OldestFirst lists those first that have not changed for longest. Default: those that have changed last.
	OldestFirst bool
	// Limit is from 1 to queries.MaxLimit. Default: queries.DefaultLimit.
	Limit int
	// Cursor is that of the page before. Default: the first page.
	Cursor string
	// Token is up to where the list must have come. Default: as far as it is.
	Token eventstore.Token
}

// List returns a page of instances, those that have changed last first, and the cursor of the next page, empty if there is none.
//
// Errors: eventstore.ErrInvalid for a query that no index serves, those of queries.Find.
func (a *Admin) List(ctx context.Context, q Query) (page []Summary, next string, err error) {
	list, err := q.list()
	if err != nil {
		return nil, "", err
	}
	found, err := queries.Find(ctx, a.config.Reader, Instances, list)
	if err != nil {
		return nil, "", err
	}
	page = make([]Summary, len(found.Items))
	for i, item := range found.Items {
		page[i] = summaryOf(item.Key, item.Row)
	}
	return page, found.Next, nil
}

func (q Query) list() (queries.List, error) {
	l := queries.List{Where: make(map[string]any), OrderBy: "changed_at", Desc: !q.OldestFirst, Limit: q.Limit, Cursor: q.Cursor, Token: q.Token}
	wrong := func(field, reason string) (queries.List, error) {
		return l, &eventstore.InvalidError{Field: field, Reason: reason}
	}
	switch {
	case q.Saga == "" && q.Step != "":
		return wrong("step", "needs a saga, of which it is a step")
	case q.Saga == "" && q.ID != "":
		return wrong("id", "needs a saga, of which it is an instance")
	case q.Step != "" && q.Status != "":
		return wrong("step", "goes without status")
	case q.ID != "" && (q.Step != "" || q.Status != "" || !q.Before.IsZero()):
		return wrong("id", "goes without status, step and age")
	}
	if q.Saga != "" {
		l.Where["saga"] = q.Saga
	}
	if q.Status != "" {
		l.Where["status"] = string(q.Status)
	}
	if q.Step != "" {
		l.Where["step"] = q.Step
	}
	if q.ID != "" {
		l.OrderBy, l.Desc, l.From, l.To = "id", false, q.ID, q.ID+"\U0010ffff"
	} else if !q.Before.IsZero() {
		l.To = q.Before
	}
	return l, nil
}

// Details are all about an instance.
type Details struct {
	Instance
	// StartedAt and ChangedAt are those of Summary.
	StartedAt time.Time `json:"started_at"`
	ChangedAt time.Time `json:"changed_at"`
	// History are its events, the first first. More is the version that the rest begins with; 0: that is all.
	History []Entry `json:"history"`
	More    int64   `json:"more,omitzero"`
}

// Entry is an event of an instance.
type Entry struct {
	// Version is that of the event in the stream, Position that in the log.
	Version    int64     `json:"version"`
	Position   int64     `json:"position"`
	Type       string    `json:"type"`
	RecordedAt time.Time `json:"recorded_at"`
	// Actor is who has acted; empty: nobody but the program.
	Actor string `json:"actor,omitempty"`
	// CausationID is the id of the event that it follows from.
	CausationID string          `json:"causation_id,omitempty"`
	Data        json.RawMessage `json:"data"`
	// Attempts are those of a step, or its undoing, that are kept: those that failed.
	Attempts []delivery.AttemptRecord `json:"attempts,omitempty"`
}

// maxHistory is how many events Show returns at most.
const maxHistory = 1000

// Show returns an instance with its events from a version on, at most 1,000.
//
// Errors: ErrNotFound, those of reading a stream.
func (a *Admin) Show(ctx context.Context, saga, id string, from int64) (Details, error) {
	i, version, err := a.config.Engine.Load(ctx, saga, id)
	if err != nil {
		return Details{}, err
	}
	if version < 0 || i.Saga != saga {
		return Details{}, a.notFound(saga, id)
	}
	i.Seen = nil // the history has them
	d := Details{Instance: i, History: []Entry{}}
	row, err := queries.Get(ctx, a.config.Reader, Instances, InstanceKey{saga, id}, eventstore.Token{})
	if err != nil && !errors.Is(err, queries.ErrNotFound) && !errors.Is(err, queries.ErrBehind) {
		return Details{}, err
	}
	d.StartedAt, d.ChangedAt = row.StartedAt, row.ChangedAt
	for e, err := range a.config.Log.ReadStream(ctx, StreamOf(saga, id), eventstore.ReadOptions{From: from, Limit: maxHistory + 1}) {
		if err != nil {
			return Details{}, err
		}
		if len(d.History) == maxHistory {
			d.More = e.Version
			break
		}
		entry := Entry{Version: e.Version, Position: e.Position, Type: e.Type, RecordedAt: e.RecordedAt, Data: e.Data}
		if m, err := commands.ParseMetadata(e.Metadata); err == nil {
			entry.Actor, entry.CausationID = m.Actor, m.CausationID
		}
		d.History = append(d.History, entry)
	}
	return d, a.addAttempts(ctx, saga, d.History)
}

func (a *Admin) notFound(saga, id string) error {
	if names := a.config.Engine.Names(); !slices.Contains(names, saga) {
		return fmt.Errorf("saga %q, id %q: %w; the sagas of this program are %s", saga, id, ErrNotFound, strings.Join(names, ", "))
	}
	return fmt.Errorf("saga %q, id %q: %w", saga, id, ErrNotFound)
}

func (a *Admin) addAttempts(ctx context.Context, saga string, history []Entry) (err error) {
	if a.config.Subscriptions == nil {
		return nil
	}
	for i := range history {
		e := &history[i]
		if e.Type != typeScheduled && e.Type != typeUndoing {
			continue
		}
		page, _, err := a.config.Subscriptions.Attempts(ctx, StepsName(saga), delivery.AttemptsQuery{Position: e.Position})
		if err != nil && !errors.Is(err, delivery.ErrNotFound) {
			return err
		}
		for _, attempt := range slices.Backward(page) { // the first first
			e.Attempts = append(e.Attempts, attempt.AttemptRecord)
		}
	}
	return nil
}

// Acted is what became of an instance by an act.
type Acted struct {
	Saga   string `json:"saga"`
	ID     string `json:"id"`
	Act    Act    `json:"act"`
	Step   string `json:"step,omitempty"`
	Status Status `json:"status"`
}

// Act does something with an instance on behalf of an operator, who says why.
//
// Errors: ErrNotFound; ErrOver, if the instance is not where that can be done; eventstore.ErrInvalid; *NoVersionError; others of commands.Handler.Handle.
func (a *Admin) Act(ctx context.Context, saga, id string, in Intervene) (Acted, error) {
	fail := func(field, format string, args ...any) (Acted, error) {
		return Acted{}, &eventstore.InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
	}
	switch needsStep := slices.Contains([]Act{Retry, Skip, Answered}, in.Act); {
	case in.Reason == "" || len(in.Reason) > maxReason:
		return fail("reason", "must say why, in at most %d bytes; it is kept", maxReason)
	case needsStep && in.Step == "":
		return fail("step", "must be the step to %s", in.Act)
	case in.Act == Migrate && in.Intervened.Version < 1:
		return fail("version", "must be that of the definition to go on with")
	}
	_, version, err := a.config.Engine.Load(ctx, saga, id)
	if err == nil && version < 0 {
		err = a.notFound(saga, id)
	}
	if err != nil {
		return Acted{}, err
	}
	_, err = a.config.Engine.Do(ctx, saga, id, in, commands.Options{Actor: in.Actor})
	if refused := new(commands.RejectedError); errors.As(err, &refused) && errors.Is(err, ErrOver) {
		err = refused.Err // it is no rule of a domain
	}
	if err != nil {
		return Acted{}, err
	}
	i, _, err := a.config.Engine.Load(ctx, saga, id)
	return Acted{Saga: saga, ID: id, Act: in.Act, Step: in.Step, Status: i.Status}, err
}

// maxReason bounds why somebody acts.
const maxReason = 1000
