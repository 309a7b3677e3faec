package adminapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/security"
)

// deadLetters registers the routes that show the dead letters of subscriptions, and decide on them.
func (r routes) deadLetters(a *httpapi.API) {
	httpapi.Read(a, subscriptionPath+"/dead", deadQueryOf, r.listDead)
	httpapi.Read(a, subscriptionPath+"/dead-groups", httpapi.NoParams, r.groupDead)
	httpapi.Read(a, subscriptionPath+"/dead/{position}", httpapi.NoParams, r.showDead)
	httpapi.Action(a, http.MethodPost, subscriptionPath+"/dead/redrive", httpapi.ActionOptions[delivery.Wished]{}, r.redrive)
	httpapi.Action(a, http.MethodPost, subscriptionPath+"/dead/discard", httpapi.ActionOptions[delivery.Wished]{}, r.discard)
	httpapi.Action(a, http.MethodPost, subscriptionPath+"/dead/resubmit", httpapi.ActionOptions[Resubmitted]{}, r.resubmit)
}

func deadQueryOf(p *httpapi.Params) delivery.DeadQuery {
	q := delivery.DeadQuery{
		DeadFilter: delivery.DeadFilter{Class: p.Text("class"), Type: p.Text("type"), Stream: p.Text("stream"), Error: p.Text("error")},
		Limit:      p.Limit(100, 1000), Cursor: p.Cursor("after"),
	}
	p.Scan("since", &q.Since)
	p.Scan("until", &q.Until)
	return q
}

func (r routes) listDead(ctx context.Context, in httpapi.ReadRequest[delivery.DeadQuery]) (page httpapi.Page[delivery.DeadLetter], err error) {
	letters, next, err := r.subscriptions.Dead(ctx, in.Path("name"), in.Params)
	return httpapi.Page[delivery.DeadLetter]{Items: letters, Next: httpapi.Cursor(next)}, err
}

// groupDead answers with what they died of.
func (r routes) groupDead(ctx context.Context, in httpapi.ReadRequest[struct{}]) (page httpapi.Page[delivery.DeadGroup], err error) {
	page.Items, err = r.subscriptions.DeadGroups(ctx, in.Path("name"))
	return page, err
}

// DeadLetter is a dead letter with its event as targets get it.
type DeadLetter struct {
	delivery.DeadLetterDetails
	Event jsontext.Value `json:"event"`
}

// NewDeadLetter returns one with the event of its details.
func NewDeadLetter(d delivery.DeadLetterDetails) DeadLetter {
	return DeadLetter{d, d.Event.AppendJSON(nil)}
}

// showDead answers with a dead letter. What is no position is one that has none.
func (r routes) showDead(ctx context.Context, in httpapi.ReadRequest[struct{}]) (DeadLetter, error) {
	position, err := strconv.ParseInt(in.Path("position"), 10, 64)
	if err != nil || position < 1 {
		return DeadLetter{}, fmt.Errorf("position %q: %w", in.Path("position"), delivery.ErrNoDeadLetter)
	}
	d, err := r.subscriptions.DeadLetter(ctx, in.Path("name"), position)
	if err != nil {
		return DeadLetter{}, err
	}
	return NewDeadLetter(d), nil
}

// deadBody picks dead letters: all, or those that match everything that is set.
type deadBody struct {
	All       bool      `json:"all"`
	Positions []int64   `json:"positions"`
	Class     string    `json:"class"`
	Type      string    `json:"type"`
	Stream    string    `json:"stream"`
	Error     string    `json:"error"`
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until"`
	Reason    string    `json:"reason"`
	DryRun    bool      `json:"dry_run"`
	// Rate is how many are redriven in a second; 0: all at once.
	Rate float64 `json:"rate"`
}

func (b deadBody) options(actor string) delivery.DeadOptions {
	return delivery.DeadOptions{
		Filter: delivery.DeadFilter{Positions: b.Positions, Class: b.Class, Type: b.Type, Stream: b.Stream, Error: b.Error, Since: b.Since, Until: b.Until},
		All:    b.All, DryRun: b.DryRun, Rate: b.Rate, Reason: b.Reason, Actor: actorOr(actor),
	}
}

func (r routes) redrive(ctx context.Context, in httpapi.ActionRequest[deadBody]) (delivery.Wished, error) {
	return r.subscriptions.Redrive(ctx, in.Path("name"), in.Body.options(in.Actor))
}

func (r routes) discard(ctx context.Context, in httpapi.ActionRequest[deadBody]) (delivery.Wished, error) {
	return r.subscriptions.Discard(ctx, in.Path("name"), in.Body.options(in.Actor))
}

// resubmitBody is an event to append in the place of a dead letter.
type resubmitBody struct {
	Position int64 `json:"position" http:"required"`
	// Data, Type and SchemaVersion are by default those of the old event.
	Data          jsontext.Value `json:"data"`
	Type          string         `json:"type"`
	SchemaVersion int            `json:"schema_version"`
	Allow         bool           `json:"allow"`
	Force         bool           `json:"force"`
	Reason        string         `json:"reason"`
}

// Resubmitted is where the new event is.
type Resubmitted struct {
	Subscription string `json:"subscription"`
	Stream       string `json:"stream"`
	Version      int64  `json:"version"`
	Position     int64  `json:"position"`
}

// resubmit appends once for a dead letter, which it removes: sent again it finds none.
func (r routes) resubmit(ctx context.Context, in httpapi.ActionRequest[resubmitBody]) (Resubmitted, error) {
	name := in.Path("name")
	if err := in.Caller.May(security.Append, security.Resource{}); err != nil {
		return Resubmitted{}, err
	}
	if err := checkPosition(in.Body.Position); err != nil {
		return Resubmitted{}, err
	}
	appended, err := r.subscriptions.Resubmit(ctx, name, delivery.Resubmission{
		Position: in.Body.Position, Data: in.Body.Data, Type: in.Body.Type, SchemaVersion: in.Body.SchemaVersion,
		Allow: in.Body.Allow, Force: in.Body.Force, Reason: in.Body.Reason, Actor: actorOr(in.Actor)})
	return NewResubmitted(name, appended), err
}

// NewResubmitted returns where the event is that was appended in the place of a dead letter of a subscription.
func NewResubmitted(subscription string, a eventstore.Appended) Resubmitted {
	return Resubmitted{subscription, a.Stream, a.Version, a.Position}
}
