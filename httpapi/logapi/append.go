package logapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/security"
)

const (
	streamPath = "/v1/streams/{stream}"
	appendPath = "/v1/append"
)

// appends registers the routes that append. They are idempotent as commands are, and by the ids of events.
func (r *routes) appends(a *httpapi.API) {
	httpapi.Command(a, http.MethodPost, streamPath, httpapi.CommandOptions{}, r.appendOne)
	a.Access(httpapi.Access{Action: security.Append, Stream: "{stream}"})
	httpapi.Command(a, http.MethodPost, appendPath, httpapi.CommandOptions{}, r.appendAll)
	a.Access(httpapi.Access{Action: security.Append, Filtered: true})
}

func (r *routes) appendOne(ctx context.Context, in httpapi.CommandRequest[streamBody]) (commands.Result, error) {
	stream, b := in.Path("stream"), in.Body
	if err := r.accepts("", b.Events == nil, stream, b.events); err != nil {
		return commands.Result{}, err
	}
	if err := mayName(in.Caller, stream, b.events); err != nil {
		return commands.Result{}, err
	}
	a := eventstore.StreamAppend{Stream: stream, Expected: in.Options.Expected, Events: b.events}
	if b.Expected.isSaid() {
		if in.Options.Expected != eventstore.Any {
			return commands.Result{}, httpapi.InvalidMember("/expected", "must not be given beside If-Match or If-None-Match")
		}
		a.Expected = b.Expected.version
	}
	if b.DedupKey == "" {
		result, err := r.appender.Append(ctx, []eventstore.StreamAppend{a}, in.Options)
		return result, ofStream(stream, err)
	}
	if in.Options.Receipt != nil {
		return commands.Result{}, httpapi.InvalidMember("/dedup_key", "must not be given beside Idempotency-Key: an append has one or the other")
	}
	result, err := r.appender.AppendOnce(ctx, a, eventstore.Dedup{Key: b.DedupKey}, in.Options)
	return result, ofStream(stream, err)
}

// mayName refuses metadata with an actor who is not the caller, where the caller is known by a token: that takes the role admin.
func mayName(c httpapi.Caller, stream string, events []eventstore.Event) error {
	if c.Token == "" {
		return nil
	}
	for i := range events {
		if !speaksFor(c.Name, events[i].Metadata) {
			return c.May(security.Admin, security.Resource{Stream: stream})
		}
	}
	return nil
}

// speaksFor reports whether metadata name nobody but somebody as their actor, however their names of members are read: some readers tell upper
// from lower case and take the last of two members, others do not.
func speaksFor(name string, metadata []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(metadata), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.PeekKind() != '{' {
		return true // no object has no actor
	}
	_, err := d.ReadToken()
	for err == nil && d.PeekKind() == '"' {
		var member, value jsontext.Value
		if member, err = d.ReadValue(); err != nil {
			break
		}
		var key, actor string
		if json.Unmarshal(member, &key) != nil {
			return false
		}
		if value, err = d.ReadValue(); err == nil && strings.EqualFold(key, "actor") &&
			(key != "actor" || json.Unmarshal(value, &actor) != nil || actor != name) {
			return false
		}
	}
	return true
}

func (r *routes) appendAll(ctx context.Context, in httpapi.CommandRequest[appendsBody]) (commands.Result, error) {
	if in.Options.Expected != eventstore.Any {
		return commands.Result{}, httpapi.InvalidMember("/appends", "must say what each stream is expected to be: If-Match and If-None-Match are of one stream")
	}
	for i, a := range in.Body.appends {
		if err := in.Caller.May(security.Append, security.Resource{Stream: a.Stream}); err != nil {
			return commands.Result{}, err
		}
		if err := mayName(in.Caller, a.Stream, a.Events); err != nil {
			return commands.Result{}, err
		}
		if err := r.accepts(fmt.Sprintf("/appends/%d", i), false, a.Stream, a.Events); err != nil {
			return commands.Result{}, err
		}
	}
	result, err := r.appender.Append(ctx, in.Body.appends, in.Options)
	return result, ofStream("", err)
}
