package delivery

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/eventstore"
)

// Grant lets another Recount, which forwards events to this one, append some.
type Grant struct {
	// Name is whose events they are, as the events that are appended have it. Required.
	Name string `json:"name"`
	// Token is what it is known by: a secret as of a target, read anew each time. Required.
	Token Secret `json:"token"`
	// Filter is a pattern of package pattern: what it does not match is refused. It must name types. Required.
	Filter json.RawMessage `json:"filter"`
	// Sources are the ids of logs that events may have been recorded in first. Default: all.
	Sources []uuid.UUID `json:"sources,omitempty"`
	// Prefix is what the names of streams get in front. Default: nothing.
	Prefix string `json:"prefix,omitempty"`
	// MaxHops is how many logs and targets that append an event may have come through. Default: 4.
	MaxHops int `json:"max_hops,omitzero"`
}

// Acceptor appends the events that others forward. It is safe for concurrent use.
type Acceptor struct {
	grants []grant
	log    eventstore.Store
}

type grant struct {
	Grant
	pattern *pattern.Pattern
}

// NewAcceptor returns an Acceptor for a log. The error names the first mistake of the grants. Two that have the same token are one, as far as tokens can
// be read now.
func NewAcceptor(log eventstore.Store, grants ...Grant) (*Acceptor, error) {
	a := &Acceptor{log: log}
	for i, g := range grants {
		var c checker
		c.required("/name", g.Name, "whose events they are")
		c.secret("/token", g.Token)
		number(&c, "/max_hops", &g.MaxHops, 4, 1, 32)
		p, err := pattern.Compile(g.Filter)
		if err != nil {
			c.wrong("/filter", "%v", err)
		} else if types := p.Types(); len(types) == 0 {
			c.wrong("/filter", `must name the types of events: {"type":["OrderPlaced"]}`)
		}
		own, unread := g.Token.Read() // one that cannot be read may come later
		for j := range a.grants {
			if other, err := a.grants[j].Token.Read(); err == nil && unread == nil && other == own {
				c.wrong("/token", "is that of accept[%d]: each grant has a token of its own", j)
			}
		}
		if len(c.mistakes) > 0 {
			return nil, fmt.Errorf("accept[%d]: %w", i, c.mistakes[0])
		}
		a.grants = append(a.grants, grant{g, p})
	}
	return a, nil
}

// ErrNotGranted is returned for a token that nobody has.
var ErrNotGranted = errors.New("no grant has that token")

// Accepted says what became of events that were forwarded.
type Accepted struct {
	// Appended were appended, Duplicates had been before, and Dropped have been in this log already, under way from it.
	Appended   int `json:"appended"`
	Duplicates int `json:"duplicates"`
	Dropped    int `json:"dropped"`
	// Failed are those that were not taken.
	Failed []Refused `json:"failed,omitempty"`
}

// Refused is an event that was not taken.
type Refused struct {
	Position int64  `json:"position"`
	Error    string `json:"error"`
	// Permanent: it never will be.
	Permanent bool `json:"permanent"`
}

// grantOf returns the grant that a token is of.
func (a *Acceptor) grantOf(token string) (found *grant, err error) {
	wanted := sha256.Sum256([]byte(token))
	for i := range a.grants {
		own, readErr := a.grants[i].Token.Read()
		if readErr != nil {
			err = readErr // the others may do
			continue
		}
		if is := sha256.Sum256([]byte(own)); subtle.ConstantTimeCompare(is[:], wanted[:]) == 1 {
			found = &a.grants[i]
		}
	}
	switch {
	case found != nil:
		return found, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNotGranted, err)
	}
	return nil, ErrNotGranted
}

// Accept appends events that a log forwards, one after another, each with its id, type, schema version, content type and data. Sent again they
// are there. What is refused for good keeps those behind it of its stream from being tried. If the log cannot append now, the error of the whole
// request is why: all of it is to be sent again.
func (a *Acceptor) Accept(ctx context.Context, token string, from uuid.UUID, events []Event) (Accepted, error) {
	g, err := a.grantOf(token)
	if err != nil {
		return Accepted{}, err
	}
	here, err := a.log.Head(ctx)
	if err != nil {
		return Accepted{}, err
	}
	var done Accepted
	failed := make(map[string]bool)
	for i := range events {
		e := &events[i]
		if failed[e.Stream] {
			done.Failed = append(done.Failed, Refused{e.Position, "an event before it of its stream was not taken", false})
			continue
		}
		became, err := a.accept(ctx, g, here.Log, from, e)
		if err != nil {
			if outcome, _ := OutcomeOf(err); outcome != PermanentFailure {
				return Accepted{}, cmp.Or(ctx.Err(), err) // it is the log's, not the event's, and its text is for nobody outside
			}
			failed[e.Stream] = true
			done.Failed = append(done.Failed, Refused{e.Position, err.Error(), true})
			continue
		}
		*map[accepted]*int{wasAppended: &done.Appended, wasThere: &done.Duplicates, wasDropped: &done.Dropped}[became]++
	}
	return done, nil
}

type accepted int

const (
	wasAppended accepted = iota
	wasThere
	wasDropped
)

// origin is where an event was recorded first, as the metadata have it.
type origin struct {
	Log        uuid.UUID `json:"log"`
	Stream     string    `json:"stream"`
	Position   int64     `json:"position"`
	RecordedAt time.Time `json:"recorded_at"`
}

const (
	originMember = "recount_origin"
	viaMember    = "recount_via"
	byMember     = "recount_from"
)

func (a *Acceptor) accept(ctx context.Context, g *grant, here, from uuid.UUID, e *Event) (accepted, error) {
	members := metadataOf(e.RecordedEvent)
	first := origin{from, e.Stream, e.Position, e.RecordedAt}
	if known, ok := members[originMember]; ok {
		if err := json.Unmarshal(known, &first); err != nil {
			return 0, Permanent(fmt.Errorf("its metadata have no origin as %s", originMember))
		}
	}
	var via []uuid.UUID
	if known, ok := members[viaMember]; ok {
		if err := json.Unmarshal(known, &via); err != nil {
			return 0, Permanent(fmt.Errorf("its metadata have no ids of logs as %s", viaMember))
		}
	}
	about := PatternEvent(e.RecordedEvent)
	switch via = append(via, from); {
	case slices.Contains(via, here):
		return wasDropped, nil
	case len(g.Sources) > 0 && !slices.Contains(g.Sources, first.Log):
		return 0, Permanent(fmt.Errorf("%q may not send what was recorded in log %s first", g.Name, first.Log))
	case !g.pattern.Explain(&about).Matched:
		return 0, Permanent(fmt.Errorf("%q may not send an event of type %s in stream %s: the filter of its grant does not match", g.Name, e.Type, e.Stream))
	}
	if err := hop(members, g.MaxHops); err != nil {
		return 0, Permanent(err)
	}
	members[originMember], members[viaMember], members[byMember] = mustMarshal(first), mustMarshal(via), mustMarshal(g.Name)
	appended := e.Event
	appended.Metadata = mustMarshal(members)
	known, err := appendOnce(ctx, a.log, eventstore.StreamAppend{Stream: g.Prefix + e.Stream, Expected: eventstore.Any, Events: []eventstore.Event{appended}})
	if known {
		return wasThere, err
	}
	return wasAppended, err
}
