package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/transform"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/security"
)

// transforms registers the route that tries the transform of a subscription.
func (r routes) transforms(a *httpapi.API) {
	httpapi.Action(a, http.MethodPost, "/v1/transforms/test", httpapi.ActionOptions[Transformed]{}, r.testTransform)
	a.Access(httpapi.Access{Action: security.Read})
}

// transformTest is a transform, and an event to apply it to: as it is delivered, or its position or id.
type transformTest struct {
	Transform transform.Config `json:"transform" http:"required"`
	Event     jsontext.Value   `json:"event" http:"required"`
	// Enriched is what is beside the event, a JSON object by the names of enrichments: nothing is looked up here.
	Enriched jsontext.Value `json:"enriched,omitzero"`
}

// Transformed is what becomes of an event.
type Transformed struct {
	// Bodies are what the target would get, one after another. None: the event would be dropped, or there is an Error.
	Bodies []jsontext.Value `json:"bodies"`
	// Error is why the event would become a dead letter.
	Error string `json:"error,omitempty"`
}

// NewTransformed returns what a transform makes of an event.
func NewTransformed(t *transform.Transform, event []byte) Transformed {
	bodies, err := t.Apply(event)
	if err != nil {
		return Transformed{Bodies: []jsontext.Value{}, Error: err.Error()}
	}
	return Transformed{Bodies: append([]jsontext.Value{}, bodies...)}
}

func (r routes) testTransform(ctx context.Context, in httpapi.ActionRequest[transformTest]) (Transformed, error) {
	t, err := transform.Compile(in.Body.Transform)
	var wrong *transform.Error
	if errors.As(err, &wrong) {
		err = &transformError{"/transform" + wrong.Pointer, wrong.Reason}
	}
	if err != nil {
		return Transformed{}, err
	}
	event, err := EventOf(ctx, r.subscriptions, in.Body.Event)
	if err != nil {
		return Transformed{}, err
	}
	if event, err = Enriched(event, in.Body.Enriched); err != nil {
		return Transformed{}, err
	}
	return NewTransformed(t, event), nil
}

// Enriched returns an event, a JSON object, with what is beside it; nil or null: as it is.
func Enriched(event, enriched jsontext.Value) (jsontext.Value, error) {
	if enriched == nil || enriched.Kind() == 'n' {
		return event, nil
	}
	var members map[string]jsontext.Value
	if enriched.Kind() != '{' || jsonv2.Unmarshal(event, &members) != nil {
		return nil, &transformError{"/enriched", "must be a JSON object, of what is found by the names of enrichments"}
	}
	members["enriched"] = enriched
	return jsonv2.Marshal(members, jsonv2.Deterministic(true))
}

// EventOf returns the event that JSON names, as it is delivered: it is one, or its position or id.
func EventOf(ctx context.Context, subscriptions *delivery.Admin, text jsontext.Value) (jsontext.Value, error) {
	var position int64
	var id uuid.UUID
	switch text.Kind() {
	case '{':
		return text, nil
	case '0':
		if json.Unmarshal(text, &position) == nil && position > 0 {
			break
		}
		fallthrough
	case '"':
		if json.Unmarshal(text, &id) == nil && id != uuid.Nil {
			break
		}
		fallthrough
	default:
		return nil, &transformError{"/event", "must be an event as it is delivered, a JSON object, or the position or the id of one"}
	}
	e, err := subscriptions.Event(ctx, position, id)
	if err != nil {
		return nil, err
	}
	return e.AppendJSON(nil), nil
}

var errInvalidTransform = errors.New("invalid transform")

// transformError says what is wrong with a transform, or with an event to try, at a place in the body.
type transformError struct{ pointer, reason string }

func (e *transformError) Error() string { return e.pointer + ": " + e.reason }

func (e *transformError) Unwrap() error { return errInvalidTransform }

// InvalidField blames that place.
func (e *transformError) InvalidField() (pointer, reason string) { return e.pointer, e.reason }
