package adminapi

import (
	"context"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/httpapi"
)

// pulls registers the routes by which callers get the events of subscriptions that are pulled, and say what became of them.
func (r routes) pulls(a *httpapi.API) {
	httpapi.Action(a, http.MethodPost, subscriptionPath+"/pull", httpapi.ActionOptions[Deliveries]{}, r.pull)
	httpapi.Action(a, http.MethodPost, subscriptionPath+"/ack", httpapi.ActionOptions[Settled]{}, r.ack)
	httpapi.Action(a, http.MethodPost, subscriptionPath+"/nack", httpapi.ActionOptions[Settled]{}, r.nack)
	httpapi.Action(a, http.MethodPost, subscriptionPath+"/extend", httpapi.ActionOptions[Settled]{}, r.extend)
}

// pullBody says what a caller wants. All may be left out.
type pullBody struct {
	// Max is 1 by default.
	Max   int               `json:"max"`
	Wait  delivery.Duration `json:"wait"`
	Lease delivery.Duration `json:"lease"`
}

// Deliveries are events in the hands of a caller.
type Deliveries struct {
	Deliveries []PullDelivery `json:"deliveries"`
}

// PullDelivery is one of them.
type PullDelivery struct {
	Token    string    `json:"token"`
	Attempt  int       `json:"attempt"`
	Deadline time.Time `json:"deadline"`
	// Redrive says that an operator let a dead letter be tried again.
	Redrive bool `json:"redrive,omitzero"`
	// Event is as targets get it.
	Event jsontext.Value `json:"event"`
}

// pull waits for as long as the request does, at most.
func (r routes) pull(ctx context.Context, in httpapi.ActionRequest[pullBody]) (Deliveries, error) {
	if err := mayForward(in.Caller); err != nil {
		return Deliveries{}, err
	}
	events, err := r.broker.Pull(ctx, in.Path("name"), delivery.PullOptions{
		Max: in.Body.Max, Wait: time.Duration(in.Body.Wait), Lease: time.Duration(in.Body.Lease)})
	return NewDeliveries(events), err
}

// NewDeliveries returns events as the API gives them.
func NewDeliveries(events []delivery.Pulled) Deliveries {
	all := Deliveries{Deliveries: make([]PullDelivery, len(events))}
	for i := range events {
		e := &events[i]
		all.Deliveries[i] = PullDelivery{e.Token, e.Event.Attempt, e.Deadline, e.Event.Redrive, e.Event.AppendJSON(nil)}
	}
	return all
}

// tokensBody names events in the hands of the caller.
type tokensBody struct {
	Tokens []string `json:"tokens" http:"required"`
}

// Settled is what became of tokens, in their order.
type Settled struct {
	Items []SettledToken `json:"items"`
}

// SettledToken is what became of one.
type SettledToken struct {
	Token string `json:"token"`
	// Status is 200 for one that was settled, 409 for one that was overtaken, 410 for one that nobody waits for any more.
	Status  int                   `json:"status"`
	Outcome delivery.TokenOutcome `json:"outcome"`
	// Dead says that the event is a dead letter now.
	Dead bool `json:"dead,omitzero"`
	// Deadline is the new one of a lease that was extended.
	Deadline time.Time `json:"deadline,omitzero"`
}

var statusOfToken = map[delivery.TokenOutcome]int{
	delivery.TokenSettled: http.StatusOK, delivery.TokenOvertaken: http.StatusConflict, delivery.TokenGone: http.StatusGone,
}

// settled says what became of tokens. One alone that was overtaken is an error.
func settled(results []delivery.TokenResult, err error) (Settled, error) {
	if len(results) == 1 && results[0].Outcome == delivery.TokenOvertaken {
		return Settled{}, delivery.ErrOvertaken
	}
	all := Settled{Items: make([]SettledToken, len(results))}
	for i, t := range results {
		all.Items[i] = SettledToken{t.Token, statusOfToken[t.Outcome], t.Outcome, t.Dead, t.Deadline}
	}
	return all, err
}

func (r routes) ack(ctx context.Context, in httpapi.ActionRequest[tokensBody]) (Settled, error) {
	return settled(r.broker.Ack(ctx, in.Path("name"), in.Body.Tokens...))
}

// nackBody says why events are not done.
type nackBody struct {
	tokensBody
	// Delay is until they are tried again; left out: as the retry of the definition says.
	Delay     *delivery.Duration `json:"delay"`
	Error     string             `json:"error"`
	Permanent bool               `json:"permanent"`
}

func (r routes) nack(ctx context.Context, in httpapi.ActionRequest[nackBody]) (Settled, error) {
	o := delivery.NackOptions{Delay: (*time.Duration)(in.Body.Delay), Error: in.Body.Error, Permanent: in.Body.Permanent}
	return settled(r.broker.Nack(ctx, in.Path("name"), o, in.Body.Tokens...))
}

// extendBody says for how much longer the caller wants to have events; left out: as the definition says.
type extendBody struct {
	tokensBody
	Lease delivery.Duration `json:"lease"`
}

func (r routes) extend(ctx context.Context, in httpapi.ActionRequest[extendBody]) (Settled, error) {
	return settled(r.broker.Extend(ctx, in.Path("name"), time.Duration(in.Body.Lease), in.Body.Tokens...))
}
