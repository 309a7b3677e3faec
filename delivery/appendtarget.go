package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// hopsMember is the member of an event's metadata that counts the appends of targets it came through.
const hopsMember = "recount_hops"

// appendTarget appends each event to another stream of the log.
type appendTarget struct {
	AppendTarget
	log eventstore.Appender
}

// NewAppendTarget returns the target that appends events to other streams of a log. What is appended has the
// event's data, content type and schema version, and an id that is made of its message id and the name of the
// subscription: delivered again it is there already, and nothing is appended. Its metadata is the event's, with
// the event as causation_id, one more in recount_hops, and of which replay it is in recount_replay, but not where a forwarded event comes from; metadata that is no JSON object is kept in base64 as
// recount_metadata. The error is an *InvalidError.
func NewAppendTarget(config AppendTarget, log eventstore.Appender) (Target, error) {
	var c checker
	if c.append("/target/append/", &config); len(c.mistakes) > 0 {
		return nil, &InvalidError{Mistakes: c.mistakes}
	}
	return &appendTarget{config, log}, nil
}

// Deliver implements Target. Each event is an append of its own: a batch that is delivered again may have
// others beside it, and a store takes a repetition for one only if it is whole.
func (t *appendTarget) Deliver(ctx context.Context, d *Delivery) error {
	return OneByOne(ctx, d, func(e *Event) error { return t.append(ctx, d.Subscription, e) })
}

// OneByOne hands the events of an attempt to f, one after another, for a Target that delivers each by itself. Behind one that fails those of its
// key are left out.
func OneByOne(ctx context.Context, d *Delivery, f func(*Event) error) error {
	failed := make(map[int]error)
	keys := make(map[string]bool)
	for i := range d.Events {
		e := &d.Events[i]
		if keys[e.Key] {
			continue // behind one that failed
		}
		if err := f(e); err != nil {
			if ctx.Err() != nil || len(d.Events) == 1 {
				return err
			}
			failed[i], keys[e.Key] = err, true
		}
	}
	if len(failed) > 0 {
		return &PartialError{Failed: failed}
	}
	return nil
}

func (t *appendTarget) append(ctx context.Context, subscription string, e *Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	metadata, err := t.metadata(e)
	if err != nil {
		return Permanent(err)
	}
	_, err = appendOnce(ctx, t.log, t.changed(subscription, e, metadata))
	if eventstore.ClassOf(err) == eventstore.ClassOverloaded {
		return Throttled(err, 0)
	}
	return err
}

// appendOnce appends an event that has its id of what it was made from. One that has that id in its stream is it, although other content now comes
// with the id: since it was appended data were erased, or a subscription changed.
func appendOnce(ctx context.Context, log eventstore.Appender, a eventstore.StreamAppend) (wasThere bool, _ error) {
	done, err := log.Append(ctx, a, eventstore.AppendOptions{})
	if errors.Is(err, eventstore.ErrIDReused) {
		return true, nil
	}
	return done.Duplicate, err
}

// changed returns what is to be appended. It expects nothing of the stream, in which others may write: what
// keeps it from being there twice is its id, and what keeps events in order is that they come one by one.
func (t *appendTarget) changed(subscription string, e *Event, metadata []byte) eventstore.StreamAppend {
	changed := e.Event
	changed.ID = uuid.NewSHA1(e.MessageID, []byte(subscription))
	changed.Type = cmp.Or(t.Type, e.Type)
	changed.Metadata = metadata
	return eventstore.StreamAppend{Stream: t.stream(e.RecordedEvent), Expected: eventstore.Any, Events: []eventstore.Event{changed}}
}

func (t *appendTarget) stream(e *eventstore.RecordedEvent) string {
	return strings.NewReplacer(
		"{stream}", e.Stream, "{category}", eventstore.Category(e.Stream), "{id}", eventstore.StreamID(e.Stream), "{type}", e.Type,
	).Replace(t.Stream)
}

// metadata returns that of what is to be appended. It fails if the event came too many times through appends of
// targets already, which would never end if they feed each other.
func (t *appendTarget) metadata(e *Event) ([]byte, error) {
	members := metadataOf(e.RecordedEvent)
	if err := hop(members, t.MaxHops); err != nil {
		return nil, err
	}
	for _, member := range []string{originMember, viaMember, byMember} { // it is recorded here first, and may go where the event came from
		delete(members, member)
	}
	members["causation_id"] = mustMarshal(e.ID)
	if e.Replay != "" {
		members["recount_replay"] = mustMarshal(e.Replay)
	}
	return mustMarshal(members), nil
}

// metadataOf returns the members of an event's metadata; what is no JSON object is its member recount_metadata, in base64.
func metadataOf(e *eventstore.RecordedEvent) map[string]json.RawMessage {
	members := make(map[string]json.RawMessage)
	if !IsJSON(e.Metadata) || json.Unmarshal(e.Metadata, &members) != nil || members == nil {
		members = make(map[string]json.RawMessage)
		if len(e.Metadata) > 0 {
			members["recount_metadata"] = mustMarshal(e.Metadata)
		}
	}
	return members
}

// hop counts one more append in the metadata of an event.
func hop(members map[string]json.RawMessage, most int) error {
	var hops int
	if counted, ok := members[hopsMember]; ok {
		if err := json.Unmarshal(counted, &hops); err != nil || hops < 0 {
			return fmt.Errorf("the metadata has %.100s as %s, which is how many appends of targets the event came through", counted, hopsMember)
		}
	}
	if hops >= most {
		return fmt.Errorf("the event came through %d appends of targets, and max_hops is %d: if subscriptions feed each other, change what they match, else raise it",
			hops, most)
	}
	members[hopsMember] = mustMarshal(hops + 1)
	return nil
}

// mustMarshal returns a value as JSON that always has one.
func mustMarshal(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
