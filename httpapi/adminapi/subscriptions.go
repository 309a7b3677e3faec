package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/operations"
)

const (
	subscriptionPath = "/v1/subscriptions/{name}"
	flagDryRun       = "dry_run"
	flagDiscardDead  = "discard_dead"
)

// subscribe registers the routes that make, show and steer subscriptions.
func (r routes) subscribe(a *httpapi.API) {
	httpapi.Read(a, "/v1/subscriptions", httpapi.NoParams, r.listSubscriptions)
	httpapi.Action(a, http.MethodPost, "/v1/subscriptions", httpapi.ActionOptions[httpapi.Page[delivery.Change]]{Flags: []string{flagDryRun}}, r.applySubscriptions)
	httpapi.Read(a, subscriptionPath, httpapi.NoParams, r.showSubscription)
	httpapi.Action(a, http.MethodPut, subscriptionPath, httpapi.ActionOptions[delivery.Change]{
		Created: func(c delivery.Change) bool { return c.Done == delivery.Created && !c.DryRun },
		Version: func(c delivery.Change) int64 { return c.Revision },
		Flags:   []string{flagDryRun},
	}, r.putSubscription)
	httpapi.Action(a, http.MethodDelete, subscriptionPath, httpapi.ActionOptions[delivery.Change]{
		Version: func(c delivery.Change) int64 { return c.Revision },
		Flags:   []string{flagDiscardDead},
	}, r.deleteSubscription)
	var desired httpapi.ActionOptions[operations.Desired]
	httpapi.Action(a, http.MethodPost, subscriptionPath+"/pause", desired, r.pauseSubscription)
	httpapi.Action(a, http.MethodPost, subscriptionPath+"/resume", desired, r.resumeSubscription)
	httpapi.Action(a, http.MethodPost, subscriptionPath+"/skip", httpapi.ActionOptions[aboutEvent]{}, r.skipEvent)
	httpapi.Action(a, http.MethodPost, subscriptionPath+"/retry", httpapi.ActionOptions[aboutEvent]{}, r.retryEvent)
	httpapi.Action(a, http.MethodPost, subscriptionPath+"/reset", httpapi.ActionOptions[delivery.Reset]{}, r.resetSubscription)
	httpapi.Action(a, http.MethodPost, subscriptionPath+"/replay", httpapi.ActionOptions[delivery.Replay]{
		Created: func(r delivery.Replay) bool { return !r.DryRun },
	}, r.replaySubscription)
	httpapi.Read(a, subscriptionPath+"/replays", httpapi.NoParams, r.listReplays)
	httpapi.Read(a, subscriptionPath+"/explain", explainedOf, r.explain)
	httpapi.Read(a, subscriptionPath+"/audit", func(p *httpapi.Params) int { return p.Limit(50, 500) }, r.auditSubscription)
}

// listSubscriptions answers with how all of them are.
func (r routes) listSubscriptions(ctx context.Context, _ httpapi.ReadRequest[struct{}]) (page httpapi.Page[delivery.Status], err error) {
	page.Items, err = r.subscriptions.List(ctx)
	return page, err
}

func (r routes) showSubscription(ctx context.Context, in httpapi.ReadRequest[struct{}]) (delivery.Status, error) {
	return r.subscriptions.Get(ctx, in.Path("name"))
}

// putSubscription makes a subscription, or changes it. The name may be left out of the body.
func (r routes) putSubscription(ctx context.Context, in httpapi.ActionRequest[delivery.Definition]) (delivery.Change, error) {
	d, name := in.Body, in.Path("name")
	if err := mayForward(in.Caller, d.Target); err != nil {
		return delivery.Change{}, err
	}
	switch {
	case d.Name == "":
		d.Name = name
	case d.Name != name:
		return delivery.Change{}, &delivery.InvalidError{Subscription: name, Mistakes: []*delivery.FieldError{
			{Pointer: "/name", Reason: "must be that in the path, or be left out"}}}
	}
	revision, err := r.revisionOf(ctx, name, in.Expected)
	if err != nil {
		return delivery.Change{}, err
	}
	return r.subscriptions.Put(ctx, d, delivery.PutOptions{IfRevision: revision, Actor: actorOr(in.Actor), DryRun: in.Flag(flagDryRun)})
}

// revisionOf returns a precondition as delivery.PutOptions.IfRevision has it.
func (r routes) revisionOf(ctx context.Context, name string, expected eventstore.ExpectedVersion) (int64, error) {
	revision, exact := expected.Exact()
	switch {
	case exact && revision == 0: // which Put takes for any
		return 0, fmt.Errorf("%w: %q never was at revision 0", delivery.ErrRevision, name)
	case exact:
		return revision, nil
	case expected == eventstore.NoStream:
		return delivery.NotThere, nil
	case expected == eventstore.StreamExists:
		s, err := r.subscriptions.Get(ctx, name)
		if errors.Is(err, delivery.ErrNotFound) {
			err = fmt.Errorf("%w: %q is not there", delivery.ErrRevision, name)
		}
		return s.Revision, err
	}
	return 0, nil
}

func (r routes) deleteSubscription(ctx context.Context, in httpapi.ActionRequest[struct{}]) (delivery.Change, error) {
	name := in.Path("name")
	revision, err := r.revisionOf(ctx, name, in.Expected)
	if err != nil {
		return delivery.Change{}, err
	}
	return delivery.Change{Subscription: name, Done: delivery.Deleted},
		r.subscriptions.Delete(ctx, name, revision, in.Flag(flagDiscardDead), actorOr(in.Actor))
}

// applyBody has what the subscriptions are to be.
type applyBody struct {
	Subscriptions []delivery.Definition `json:"subscriptions" http:"required"`
	// Prune removes those that Subscriptions lacks, DiscardDead also if they have dead letters.
	Prune       bool `json:"prune"`
	DiscardDead bool `json:"discard_dead"`
}

func (r routes) applySubscriptions(ctx context.Context, in httpapi.ActionRequest[applyBody]) (page httpapi.Page[delivery.Change], err error) {
	for i := range in.Body.Subscriptions {
		if err := mayForward(in.Caller, in.Body.Subscriptions[i].Target); err != nil {
			return page, err
		}
	}
	page.Items, err = r.subscriptions.Apply(ctx, in.Body.Subscriptions, delivery.ApplyOptions{
		Prune: in.Body.Prune, Force: in.Body.DiscardDead, DryRun: in.Flag(flagDryRun), Actor: actorOr(in.Actor)})
	return page, err
}

func (r routes) pauseSubscription(ctx context.Context, in httpapi.ActionRequest[struct{}]) (operations.Desired, error) {
	name := in.Path("name")
	return operations.Desired{Name: name, Paused: true}, r.subscriptions.Pause(ctx, name, actorOr(in.Actor))
}

func (r routes) resumeSubscription(ctx context.Context, in httpapi.ActionRequest[struct{}]) (operations.Desired, error) {
	name := in.Path("name")
	return operations.Desired{Name: name}, r.subscriptions.Resume(ctx, name, actorOr(in.Actor))
}

// aboutEvent names an event of a subscription.
type aboutEvent struct {
	Subscription string `json:"subscription"`
	Position     int64  `json:"position"`
}

// skipEvent wants the position of the event: without it a request that is repeated would skip the next one that
// the subscription stops on.
func (r routes) skipEvent(ctx context.Context, in httpapi.ActionRequest[skipBody]) (aboutEvent, error) {
	done := aboutEvent{in.Path("name"), in.Body.Position}
	if err := checkPosition(in.Body.Position); err != nil {
		return done, err
	}
	_, err := r.subscriptions.Skip(ctx, done.Subscription, done.Position, in.Body.Reason, actorOr(in.Actor))
	return done, err
}

// retryBody says which event to try now.
type retryBody struct {
	Position int64 `json:"position" http:"required"`
}

func (r routes) retryEvent(ctx context.Context, in httpapi.ActionRequest[retryBody]) (aboutEvent, error) {
	done := aboutEvent{in.Path("name"), in.Body.Position}
	if err := checkPosition(in.Body.Position); err != nil {
		return done, err
	}
	return done, r.subscriptions.RetryNow(ctx, done.Subscription, done.Position, actorOr(in.Actor))
}

func checkPosition(position int64) error {
	if position < 1 {
		return operations.InvalidOption("position", "must be that of the event")
	}
	return nil
}

// resetBody says where a subscription is to go on.
type resetBody struct {
	To     delivery.Start `json:"to"`
	Reason string         `json:"reason"`
	DryRun bool           `json:"dry_run"`
}

func (r routes) resetSubscription(ctx context.Context, in httpapi.ActionRequest[resetBody]) (delivery.Reset, error) {
	return r.subscriptions.Reset(ctx, in.Path("name"), delivery.ResetOptions{
		To: in.Body.To, DryRun: in.Body.DryRun, Reason: in.Body.Reason, Actor: actorOr(in.Actor)})
}

// replayBody says which events come again, and to whom.
type replayBody struct {
	From   delivery.Start         `json:"from"`
	To     delivery.Start         `json:"to"`
	Filter jsontext.Value         `json:"filter"`
	Target *delivery.TargetConfig `json:"target"`
	Rate   float64                `json:"rate"`
	Allow  bool                   `json:"allow"`
	Reason string                 `json:"reason"`
	DryRun bool                   `json:"dry_run"`
}

func (r routes) replaySubscription(ctx context.Context, in httpapi.ActionRequest[replayBody]) (delivery.Replay, error) {
	if in.Body.Target != nil {
		if err := mayForward(in.Caller, *in.Body.Target); err != nil {
			return delivery.Replay{}, err
		}
	}
	return r.subscriptions.Replay(ctx, in.Path("name"), delivery.ReplayOptions{
		From: in.Body.From, To: in.Body.To, Filter: json.RawMessage(in.Body.Filter), Target: in.Body.Target, Rate: in.Body.Rate,
		Allow: in.Body.Allow, DryRun: in.Body.DryRun, Reason: in.Body.Reason, Actor: actorOr(in.Actor)})
}

// listReplays answers with those that run, and those that have ended.
func (r routes) listReplays(ctx context.Context, in httpapi.ReadRequest[struct{}]) (page httpapi.Page[delivery.Replay], err error) {
	page.Items, err = r.subscriptions.Replays(ctx, in.Path("name"))
	return page, err
}

// explained is which event is to be explained.
type explained struct {
	position int64
	event    uuid.UUID
}

func explainedOf(p *httpapi.Params) (of explained) {
	hasPosition := p.Scan("position", &of.position)
	hasEvent := p.Scan("event", &of.event)
	switch {
	case hasPosition && hasEvent:
		p.Fail("event", "must not be given beside position")
	case hasPosition && of.position < 1:
		p.Fail("position", "must be 1 or more")
	}
	return of
}

// explain says what became of an event.
func (r routes) explain(ctx context.Context, in httpapi.ReadRequest[explained]) (delivery.Explanation, error) {
	switch of := in.Params; {
	case of.event != uuid.Nil:
		return r.subscriptions.ExplainEvent(ctx, in.Path("name"), of.event)
	case of.position == 0:
		return delivery.Explanation{}, in.Invalid("position", "must be given, or event, the id of an event")
	default:
		return r.subscriptions.Explain(ctx, in.Path("name"), of.position)
	}
}

// auditSubscription answers with what operators did, the last first.
func (r routes) auditSubscription(ctx context.Context, in httpapi.ReadRequest[int]) (page httpapi.Page[operations.AuditEntry], err error) {
	page.Items, err = r.subscriptions.Audit(ctx, in.Path("name"), in.Params)
	return page, err
}
