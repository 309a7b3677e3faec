package sagas

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// GatherName is the name of the saga of Gather.
const GatherName = "gather"

// The steps, and the types of messages. Those that nobody waits for say in the history what became of an event.
const (
	stepParts   = "parts"
	stepResult  = "result"
	gatherPart  = "part"
	gatherAgain = "duplicate"
	gatherLate  = "late"
	partMember  = "part:"
	maxExtras   = 100
)

// gathering are the data of an instance; its parts are members of their own, part:NAME.
type gathering struct {
	ID           string        `json:"id"`
	Subscription string        `json:"subscription"`
	Correlate    string        `json:"correlate"`
	Parts        []string      `json:"parts,omitempty"`
	Count        int           `json:"count"`
	Timeout      time.Duration `json:"timeout"`
	Type         string        `json:"type"`
	Stream       string        `json:"stream"`
}

func gatheringOf(data map[string]json.RawMessage) (g gathering, err error) {
	err = unmarshal(data, &g)
	return g, err
}

// Gather returns the saga whose instances are groups of events that are gathered: see delivery.GatherTarget. It is one for all of them: what a group waits for is in the data that it began with, so that a
// subscription that is changed changes no group that has begun.
//
// An instance waits for as many parts as there are, or for its time to be over; what comes first decides it, and appends the result together with
// that.
func Gather() *Saga {
	type data = map[string]json.RawMessage
	return Define(GatherName, 1, func(s *Steps[data]) {
		s.Describe("gathers events that belong together, and appends one for all")
		s.Any("complete", func(s *Steps[data]) {
			s.each(stepParts, func(d data) (int, error) {
				g, err := gatheringOf(d)
				return g.Count, err
			}, func(s *Steps[data], _ int) {
				s.add(&task{name: "part", kind: kindReceive, typeOf: gatherPart, receive: func(_ map[string]json.RawMessage, text json.RawMessage) (map[string]json.RawMessage, error) {
					var p gatheredPart
					err := json.Unmarshal(text, &p)
					return map[string]json.RawMessage{partMember + p.Part: text}, err // whole, as its data may be null
				}})
			}, Items{})
		}, func(s *Steps[data]) {
			s.WaitUntil("timeout", func(now time.Time, d data) time.Time {
				g, _ := gatheringOf(d) // Begun has made it
				return now.Add(g.Timeout)
			})
		})
		s.Command(stepResult, gatherResult)
	})
}

// gatheredPart is the message that a part is.
type gatheredPart struct {
	Part string          `json:"part"`
	Data json.RawMessage `json:"data"`
}

// Gathered is the data of the event that is appended for a group.
type Gathered struct {
	// Subscription is which one has gathered it, Correlate what its events have in common.
	Subscription string `json:"subscription"`
	Correlate    string `json:"correlate"`
	// Parts are the data of those that came in time.
	Parts map[string]json.RawMessage `json:"parts"`
	// Expected is how many parts the group was to have, Missing which did not come, if they are named.
	Expected int      `json:"expected"`
	Missing  []string `json:"missing"`
	// TimedOut: some did not come in time.
	TimedOut bool `json:"timed_out"`
}

// encode writes each character as it is: encoding/json makes six bytes of <, > and &, which the events of the saga have.
func (g Gathered) encode() ([]byte, error) {
	return jsonv2.Marshal(g, jsonv2.Deterministic(true), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// fits fails if a part is larger than its share of what g, a result without parts, leaves of the event. The name of one that is missing is less than that.
func (g Gathered) fits(part string, data json.RawMessage) error {
	without, err := g.encode()
	with := g
	with.Parts = map[string]json.RawMessage{part: data}
	text, err2 := with.encode()
	if size, most := len(text)-len(without)+1, (resultRoom-len(without))/g.Expected; size > most {
		err = fmt.Errorf("its data and name have %d bytes, and those of each of %d parts may have %d: let target.gather.data be the path of less", size, g.Expected, most)
	}
	return errors.Join(err, err2)
}

// gatherResult appends the event. Its id is made of the instance, of which it is the only one.
func gatherResult(data map[string]json.RawMessage) Command {
	g, err := gatheringOf(data)
	result := Gathered{g.Subscription, g.Correlate, make(map[string]json.RawMessage), g.Count, []string{}, false}
	for member, value := range data {
		if name, ok := strings.CutPrefix(member, partMember); ok {
			var p gatheredPart
			err = errors.Join(err, json.Unmarshal(value, &p))
			result.Parts[name] = p.Data
		}
	}
	for _, name := range g.Parts {
		if data[partMember+name] == nil {
			result.Missing = append(result.Missing, name)
		}
	}
	result.TimedOut = len(result.Parts) < g.Count
	text, err2 := result.encode()
	return Command{Name: "append", ID: g.Stream, Command: appending{g.Stream, eventstore.Event{
		ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(StreamOf(GatherName, g.ID))), Type: g.Type, Data: text,
	}, errors.Join(err, err2)}}
}

// appending is a command of the engine's own: an event for a stream that need be of no aggregate.
type appending struct {
	stream string
	event  eventstore.Event
	err    error
}

// gathered is a part that comes for a group, which begins with the first.
type gathered struct {
	begin   gathering
	message uuid.UUID
	part    string
	data    json.RawMessage
	// became is told what the part is to the group: gatherPart and so on.
	became *string
}

// decide records what has come. Of what changes nothing more than so many are not even recorded.
func (in gathered) decide(s *Saga, i Instance, now time.Time) (events []Event, _ error) {
	parts, _ := i.Step(stepParts)
	_, isOver := i.Step(stepResult)
	*in.became = gatherPart
	switch {
	case i.Status == "":
		data, err := members(in.begin)
		if err != nil {
			return nil, err
		}
		events = append(events, Started{Saga: s.name, Version: s.version, ID: in.begin.ID, Data: data, At: now})
	case slices.Contains(i.Seen, in.message):
		return nil, nil
	case isOver || i.Status != Running:
		*in.became = gatherLate
	case i.Data[partMember+in.part] != nil:
		*in.became = gatherAgain
	}
	if *in.became != gatherPart && len(i.Seen) >= parts.Branch+maxExtras {
		return nil, nil
	}
	text, err := json.Marshal(gatheredPart{in.part, in.data})
	if *in.became != gatherPart {
		text, err = json.Marshal(gatheredPart{Part: in.part}) // nobody needs its data
	}
	return append(events, Received{Saga: s.name, ID: in.begin.ID, Message: in.message, Type: *in.became, Data: text, At: now}), err
}
