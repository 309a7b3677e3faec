// Package logapi has the routes by which programs in any language append to the log, and read it.
package logapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
)

// Log is what the routes write and read.
type Log interface {
	eventstore.Store
	eventstore.MultiStreamAppender
	eventstore.ReceiptStore
	eventstore.StreamManager
}

// Config says what the routes do.
type Config struct {
	// Log is nil where the routes are only to be described.
	Log Log
	// Owned are the categories of streams that the program's own code writes: here they can only be read. Default: none.
	Owned []string
	// Known has the events of the program's own code, which reads them in whichever stream they are. They are appended nowhere but to Raw.
	// Default: there are none.
	Known *eventstore.Codec
	// Raw are categories of the program's own that are appended to nevertheless, with the events that they take. Default: none.
	Raw map[string]*eventstore.Codec
	// Heartbeat is after how long those who follow the log are told that there is nothing new. Default: 15s.
	Heartbeat time.Duration
}

// Register adds the routes to an API that was made with Problems, in a section of their own.
func Register(a *httpapi.API, c Config) {
	c.Heartbeat = cmp.Or(c.Heartbeat, 15*time.Second)
	r := &routes{Config: c, tail: &tail{log: c.Log}}
	if c.Log != nil {
		r.appender = commands.NewAppender(c.Log)
	}
	a.Section("log", Problems()...)
	r.appends(a)
	r.reads(a)
	r.manages(a)
}

type routes struct {
	Config
	appender *commands.Appender
	tail     *tail
}

var (
	errOwned    = errors.New("the stream is of an aggregate")
	errNoStream = errors.New("no such stream")
	errGone     = errors.New("the stream is deleted")
	errNoEvent  = errors.New("no such event")
)

var (
	kindOwned = httpapi.Kind{Code: "stream-of-aggregate", Status: http.StatusForbidden,
		Title:   "Stream or event of an aggregate",
		Meaning: "The stream's category, or the event's type, is that of an aggregate of this program, whose events must follow its rules. Nothing was written.",
		Fix:     "Send a command instead, GET /v1/commands lists them; or append an event of another type to a stream of another category. App.RawAppends lets a category be appended to."}
	kindNoStream = httpapi.Kind{Code: "stream-not-found", Status: http.StatusNotFound,
		Title:   "Stream not found",
		Meaning: "The stream was never written.",
		Fix:     "Check the name; GET /v1/log has the names of the streams that there are."}
	kindGone = httpapi.Kind{Code: "stream-deleted", Status: http.StatusGone,
		Title:   "Stream deleted",
		Meaning: "The stream was deleted: its events are not shown any more.",
		Fix:     "Append to it, which begins it anew, or use another stream if it is tombstoned. The events are still in the log: GET /v1/log shows them."}
	kindNoEvent = httpapi.Kind{Code: "no-such-event", Status: http.StatusNotFound,
		Title:   "Event not found",
		Meaning: "No event that was looked at has the id or the position. An id that has no time in it is looked for from the end of the log.",
		Fix:     "Check the id, ask for the position instead, which is found at once, or let more events be looked at with scan."}
)

// Problems are what the routes refuse requests with.
func Problems() []httpapi.DomainProblem {
	return []httpapi.DomainProblem{
		{Err: errOwned, Kind: kindOwned}, {Err: errNoStream, Kind: kindNoStream}, {Err: errGone, Kind: kindGone},
		{Err: errNoEvent, Kind: kindNoEvent},
	}
}

// writable refuses streams that are not for clients to write.
func (r *routes) writable(stream string) error {
	if err := eventstore.ValidateStream(stream); err != nil {
		return err
	}
	if category := eventstore.Category(stream); slices.Contains(r.Owned, category) {
		return kindOwned.Problem(fmt.Sprintf("The category %q of stream %q is that of an aggregate of this program.", category, stream))
	}
	return nil
}

// accepts refuses events that are not for clients to append to a stream, at a place in the body. The program's read models and sagas pick events by
// their types, whatever the stream: there one of theirs would be counted as a fact, or stop what cannot read it.
func (r *routes) accepts(at string, isAlone bool, stream string, events []eventstore.Event) error {
	if err := r.writable(stream); err != nil {
		return err
	}
	own, isOwn := r.Raw[eventstore.Category(stream)]
	for i, e := range events {
		where := at
		if !isAlone {
			where = fmt.Sprintf("%s/events/%d", at, i)
		}
		switch {
		case isOwn && !own.Knows(e.Type):
			return httpapi.InvalidMember(where+"/type", fmt.Sprintf("must be one of %v: the aggregate has no event %q", own.TypeNames(), e.Type))
		case isOwn:
			if _, err := own.Decode(e); err != nil {
				return httpapi.InvalidMember(where+"/data", "must be an event that the aggregate can read: "+err.Error())
			}
		case r.Known != nil && r.Known.Knows(e.Type):
			return kindOwned.Problem(fmt.Sprintf("%s is %q, which is an event of an aggregate of this program.", where+"/type", e.Type))
		}
	}
	return nil
}

// ofStream makes of an error of a stream what it is over HTTP.
func ofStream(stream string, err error) error {
	var conflict *eventstore.ConflictError
	if deleted := new(eventstore.StreamDeletedError); errors.As(err, &deleted) {
		stream = deleted.Stream
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &conflict):
		return httpapi.PreconditionFailed(conflict)
	case errors.Is(err, eventstore.ErrStreamDeleted):
		return kindGone.Problem(fmt.Sprintf("Stream %q is deleted.", stream))
	case errors.Is(err, eventstore.ErrStreamNotFound):
		return kindNoStream.Problem(fmt.Sprintf("There is no stream %q.", stream))
	}
	return err
}

// reaches returns an error if the log is not that of a consistency token, or behind it.
func (r *routes) reaches(ctx context.Context, t eventstore.Token) error {
	if t.IsZero() {
		return nil
	}
	for _, err := range r.Log.ReadAll(ctx, eventstore.ReadOptions{After: t, Limit: 1}) {
		return err
	}
	return nil
}
