package delivery

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/eventstore"
)

// GatherTarget gathers the events that have something in common, each group until it is complete or its time is over, and appends one event
// that has their data. Groups are instances of the saga of sagas.Gather, which a program has that links this target.
type GatherTarget struct {
	// Correlate is the path of what the events of a group have in common, such as $.data.transaction_id. Required.
	Correlate string `json:"correlate"`
	// Part is the path of which part of the group an event is. Default: $.type, or $.id if as many as Expect.Count are expected.
	Part string `json:"part"`
	// Expect is when a group is complete. Required.
	Expect Expect `json:"expect"`
	// Timeout is how long after its first event a group that is not complete is given up, from 100 ms to a year. Default: 24 h.
	Timeout Duration `json:"timeout"`
	// Data is the path of what the result has of each event. Default: $.data.
	Data string `json:"data"`
	// Result is the event that is appended for a group.
	Result GatherResult `json:"result"`
}

// Expect is when a group is complete: in JSON ["a","b"], the parts, or {"count":3}.
type Expect struct {
	// Parts are the names of all parts.
	Parts []string
	// Count is how many parts with different names there are, if they are not named.
	Count int
}

// Size is how many parts a group has that is complete.
func (e Expect) Size() int { return max(len(e.Parts), e.Count) }

// GatherResult is the event that is appended for a group.
type GatherResult struct {
	// Type is its type. Default: Gathered.
	Type string `json:"type"`
	// Stream is its stream, in which {subscription} and {id} stand for the name of the subscription and for what the events of the group
	// have in common. Default: gathered-{subscription}-{id}.
	Stream string `json:"stream"`
}

// MaxParts is how many parts a group may have.
const MaxParts = 256

const expectForms = `["a","b"], the parts, or {"count":3}`

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (e *Expect) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	*e = Expect{}
	if value.Kind() == '[' {
		err = jsonv2.Unmarshal(value, &e.Parts)
	} else {
		var o expectObject
		err = jsonv2.Unmarshal(value, &o, jsonv2.RejectUnknownMembers(true))
		e.Count = o.Count
	}
	if err != nil {
		return &FieldError{"", "must be " + expectForms}
	}
	return nil
}

type expectObject struct {
	Count int `json:"count"`
}

// MarshalJSONTo implements json.MarshalerTo.
func (e Expect) MarshalJSONTo(to *jsontext.Encoder) error {
	if e.Count > 0 {
		return jsonv2.MarshalEncode(to, expectObject{e.Count})
	}
	return jsonv2.MarshalEncode(to, e.Parts)
}

// MarshalJSON implements the Marshaler of encoding/json, as the method below does.
func (e Expect) MarshalJSON() ([]byte, error) { return jsonv2.Marshal(e) }

// UnmarshalJSON implements json.Unmarshaler.
func (e *Expect) UnmarshalJSON(text []byte) error { return jsonv2.Unmarshal(text, e) }

func (c *checker) gather(at string, t *GatherTarget) {
	c.required(at+"correlate", t.Correlate, "the path of what the events of a group have in common, such as $.data.transaction_id")
	e := t.Expect
	switch {
	case e.Count == 0 && len(e.Parts) == 0 || e.Count != 0 && len(e.Parts) > 0:
		c.wrong(at+"expect", "must be %s", expectForms)
	case e.Count < 0 || e.Size() > MaxParts:
		c.wrong(at+"expect", "must be at most %d parts, and not fewer than one", MaxParts)
	}
	for i, name := range e.Parts {
		c.required(at+"expect/"+strconv.Itoa(i), name, "the name of a part")
		if slices.Contains(e.Parts[:i], name) {
			c.wrong(at+"expect/"+strconv.Itoa(i), "must be there once: each part has a name of its own")
		}
	}
	initially := func(v *string, text string) {
		if *v == "" {
			*v = text
		}
	}
	if e.Count > 0 {
		initially(&t.Part, "$.id")
	}
	initially(&t.Part, "$.type")
	initially(&t.Data, "$.data")
	initially(&t.Result.Type, "Gathered")
	initially(&t.Result.Stream, "gathered-{subscription}-{id}")
	for member, text := range map[string]string{"correlate": t.Correlate, "part": t.Part, "data": t.Data} {
		if text == "" {
			continue
		}
		if steps, err := parsePath(text); err != nil {
			c.wrong(at+member, "%v", err)
		} else if !slices.Contains(envelope, steps[0]) {
			c.wrong(at+member, "must begin with a member of an event: $.%s", strings.Join(envelope, ", $."))
		}
		c.text(at+member, text, maxPath)
	}
	c.duration(at+"timeout", &t.Timeout, 24*time.Hour, 100*time.Millisecond, year)
	for _, found := range placeholders.FindAllString(t.Result.Stream, -1) {
		if found != "{subscription}" && found != "{id}" {
			c.wrong(at+"result/stream", "must not have %s: there are {subscription} and {id}", found)
		}
	}
	for member, name := range map[string]string{"stream": t.Result.Stream, "type": t.Result.Type} {
		if strings.HasPrefix(name, "$") {
			c.wrong(at+"result/"+member, "must not begin with '$': those belong to the store")
		}
		c.text(at+"result/"+member, name, 256)
	}
}

// parsePath returns the steps of a path: $.data.lines[0].sku, or the JSON pointer /data/lines/0/sku.
func parsePath(text string) ([]string, error) {
	wrong := errors.New("must be a path such as $.data.transaction_id, or $.data['order id']")
	if strings.HasPrefix(text, "/") && !escapes.MatchString(text) {
		return splitPointer(text), nil
	}
	rest, ok := strings.CutPrefix(text, "$")
	var steps []string
	for ok && rest != "" {
		switch {
		case strings.HasPrefix(rest, "['"):
			var name string
			name, rest, ok = strings.Cut(rest[2:], "']")
			steps = append(steps, name)
		case rest[0] == '[':
			var index string
			index, rest, ok = strings.Cut(rest[1:], "]")
			if _, err := strconv.ParseUint(index, 10, 31); err != nil {
				return nil, wrong
			}
			steps = append(steps, index)
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			if end == 1 || strings.ContainsAny(rest[1:end], "*]'\" ") {
				return nil, wrong
			}
			steps, rest = append(steps, rest[1:end]), rest[end:]
		default:
			return nil, wrong
		}
	}
	if !ok || len(steps) == 0 {
		return nil, wrong
	}
	return steps, nil
}

// textAt returns what is at a path that was checked, as text: "" if there is nothing.
func textAt(e *eventstore.RecordedEvent, path string) string {
	steps, err := parsePath(path)
	if err != nil {
		return ""
	}
	return keyAt(e, steps)
}

// Group returns what an event has in common with others of its group, and which part it is. The error says that it is of none.
func (t *GatherTarget) Group(e *eventstore.RecordedEvent) (value, part string, err error) {
	value, part = textAt(e, t.Correlate), textAt(e, t.Part)
	switch {
	case value == "":
		return "", "", fmt.Errorf("it has nothing at %s, by which events are gathered", t.Correlate)
	case part == "":
		return "", "", fmt.Errorf("it has nothing at %s, which says which part it is", t.Part)
	case len(t.Expect.Parts) > 0 && !slices.Contains(t.Expect.Parts, part):
		return "", "", fmt.Errorf("it is part %.100q, and those that are expected are %q", part, t.Expect.Parts)
	case len(value) > maxValue:
		return "", "", fmt.Errorf("what is at %s has %d bytes, and may have %d", t.Correlate, len(value), maxValue)
	case len(part) > maxPath:
		return "", "", fmt.Errorf("the name of its part has %d bytes, and may have %d", len(part), maxPath)
	}
	return value, part, nil
}

// DataOf returns what the result has of an event, as JSON. Data that are no JSON are a text in base64.
func (t *GatherTarget) DataOf(e *eventstore.RecordedEvent) json.RawMessage {
	steps, err := parsePath(t.Data)
	if err != nil {
		return nil
	}
	whole := e.Data
	switch {
	case steps[0] == "metadata":
		whole = e.Metadata
	case steps[0] != "data":
		return mustMarshal(keyAt(e, steps))
	}
	if !IsJSON(whole) {
		return mustMarshal(whole)
	}
	return rawAt(whole, steps[1:])
}

// rawAt returns the member of a JSON text at a path; null if there is none.
func rawAt(text json.RawMessage, path []string) json.RawMessage {
	for _, step := range path {
		var object map[string]json.RawMessage
		var list []json.RawMessage
		i, err := strconv.Atoi(step)
		switch {
		case json.Unmarshal(text, &object) == nil && object[step] != nil:
			text = object[step]
		case err == nil && json.Unmarshal(text, &list) == nil && i >= 0 && i < len(list):
			text = list[i]
		default:
			return json.RawMessage("null")
		}
	}
	return bytes.TrimSpace(text)
}

// GroupID returns the id of the instance of the saga that a group is: of what its events have in common, or of its hash if that cannot be in a
// name.
func GroupID(subscription, value string) string {
	if len(value) > 200 || eventstore.ValidateStream(value) != nil {
		sum := sha256.Sum256([]byte(value))
		value = hex.EncodeToString(sum[:])
	}
	return subscription + ":" + value
}
