package adminapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/security"
)

const routesPath = "/v1/routes/explain"

// explainRoutes registers the routes that say which subscriptions an event is for.
func (r routes) explainRoutes(a *httpapi.API) {
	httpapi.Read(a, routesPath+"/{event}", routesQueryOf, r.routesOfEvent)
	httpapi.Action(a, http.MethodPost, routesPath, httpapi.ActionOptions[Routes]{}, r.routesOfOther)
	a.Access(httpapi.Access{Action: security.Read})
}

// Routes are a page of what subscriptions have to do with an event.
type Routes struct {
	delivery.Routes
	// Next is given back as the parameter after to get the next page; null: there is none.
	Next *string `json:"next"`
}

// NewRoutes returns a page as the API has it.
func NewRoutes(page delivery.Routes) Routes {
	if page.Next == "" {
		return Routes{Routes: page}
	}
	return Routes{page, &page.Next}
}

func routesQueryOf(p *httpapi.Params) delivery.RoutesQuery {
	return delivery.RoutesQuery{Limit: p.Limit(delivery.DefaultRoutes, delivery.MaxRoutes), After: p.Cursor("after")}
}

// routesOfEvent is about an event of the log, by its position or id. What is neither is one that is not there.
func (r routes) routesOfEvent(ctx context.Context, in httpapi.ReadRequest[delivery.RoutesQuery]) (Routes, error) {
	q, event := in.Params, in.Path("event")
	var err error
	if q.ID, err = uuid.Parse(event); err != nil {
		if q.Position, err = strconv.ParseInt(event, 10, 64); err != nil || q.Position < 1 {
			return Routes{}, fmt.Errorf("%w: %q is no position and no id", delivery.ErrNoEvent, event)
		}
	}
	page, err := r.subscriptions.Routes(ctx, q)
	return NewRoutes(page), err
}

// otherEvent is an event that need not be on the log, as it is delivered, and a page.
type otherEvent struct {
	Event jsontext.Value `json:"event" http:"required"`
	Limit int            `json:"limit"`
	After string         `json:"after"`
}

func (r routes) routesOfOther(ctx context.Context, in httpapi.ActionRequest[otherEvent]) (Routes, error) {
	e, inEvent := read("/event", in.Body.Event, pattern.ParseEvent)
	var inLimit error
	if in.Body.Limit < 0 || in.Body.Limit > delivery.MaxRoutes {
		inLimit = &patternError{"/limit", "must be from 1 to 1000"}
	}
	if err := errors.Join(inEvent, inLimit); err != nil {
		return Routes{}, err
	}
	page, err := r.subscriptions.Routes(ctx, delivery.RoutesQuery{Event: &e, Limit: in.Body.Limit, After: in.Body.After})
	return NewRoutes(page), err
}
