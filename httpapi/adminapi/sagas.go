package adminapi

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/sagas"
)

// SagaProblems are what the errors of what is done with instances of sagas are over HTTP.
var SagaProblems = []httpapi.DomainProblem{
	{Err: sagas.ErrNotFound, Kind: httpapi.Kind{Code: "saga-not-found", Status: http.StatusNotFound,
		Title:   "Instance of saga not found",
		Meaning: "No instance of the saga has this id: it has not begun, or there is no such saga. Nothing was done.",
		Fix:     "GET /v1/sagas?saga= lists those that there are."}},
	{Err: sagas.ErrOver, Kind: httpapi.Kind{Code: "saga-elsewhere", Status: http.StatusConflict,
		Title:   "Instance of saga is elsewhere",
		Meaning: "The instance, or its step, is not where that can be done; it may have gone on, or have ended. Nothing was done.",
		Fix:     "GET /v1/sagas/{saga}/{id} says where it is, and in history how it came there."}},
	{Err: sagas.ErrNoVersion, Kind: httpapi.Kind{Code: "saga-version-missing", Status: http.StatusConflict,
		Title:   "Version of saga missing",
		Meaning: "This program has no definition of the version that the instance goes by, or is to go by. Nothing was done.",
		Fix:     "Ask a server that has it, or let the program have the definitions of all versions of which instances are under way."}},
}

const sagaPath = "/v1/sagas/{saga}/{id}"

// RegisterSagas adds the routes by which operators look at instances of sagas, and act on them. The API must have SagaProblems. Admin is asked
// when a route is used.
func RegisterSagas(a *httpapi.API, admin func() *sagas.Admin) {
	httpapi.Read(a, "/v1/sagas", sagaQueryOf, func(ctx context.Context, in httpapi.ReadRequest[sagas.Query]) (page httpapi.Page[sagas.Summary], err error) {
		q := in.Params
		q.Token = in.Token
		items, next, err := admin().List(ctx, q)
		return httpapi.Page[sagas.Summary]{Items: items, Next: httpapi.Cursor(next)}, err
	})
	httpapi.Read(a, sagaPath, func(p *httpapi.Params) int64 { return p.Int("from", 0, 0, 1<<53) },
		func(ctx context.Context, in httpapi.ReadRequest[int64]) (sagas.Details, error) {
			return admin().Show(ctx, in.Path("saga"), in.Path("id"), in.Params)
		})
	for _, do := range sagas.Steerings() {
		httpapi.Action(a, http.MethodPost, "/v1/sagas/{saga}/"+string(do), httpapi.ActionOptions[sagas.Steered]{}, func(ctx context.Context, in httpapi.ActionRequest[reasonBody]) (sagas.Steered, error) {
			return admin().Steer(ctx, in.Path("saga"), do, in.Body.Reason, actorOr(in.Actor))
		})
	}
	httpapi.Action(a, http.MethodPost, sagaPath+"/redrive", httpapi.ActionOptions[sagas.Steered]{}, func(ctx context.Context, in httpapi.ActionRequest[reasonBody]) (sagas.Steered, error) {
		return admin().Redrive(ctx, in.Path("saga"), in.Path("id"), in.Body.Reason, actorOr(in.Actor))
	})
	for _, act := range []sagas.Act{sagas.Cancel, sagas.Terminate, sagas.Retry, sagas.Skip, sagas.Migrate, sagas.Answered} {
		httpapi.Action(a, http.MethodPost, sagaPath+"/"+string(act), httpapi.ActionOptions[sagas.Acted]{}, func(ctx context.Context, in httpapi.ActionRequest[sagaBody]) (sagas.Acted, error) {
			return admin().Act(ctx, in.Path("saga"), in.Path("id"), in.Body.intervention(act, actorOr(in.Actor)))
		})
	}
}

func sagaQueryOf(p *httpapi.Params) sagas.Query {
	q := sagas.Query{
		Saga: p.Text("saga"), Status: sagas.Status(p.OneOf("status", statusesOfSagas()...)), Step: p.Text("step"), ID: p.Text("id"), OldestFirst: p.Flag("oldest_first"),
		Limit: p.Limit(50, 500), Cursor: p.Cursor("after"),
	}
	p.Scan("before", &q.Before)
	return q
}

func statusesOfSagas() []string {
	all := []string{""} // none
	for _, s := range sagas.Statuses() {
		all = append(all, string(s))
	}
	return all
}

// reasonBody says why something is done.
type reasonBody struct {
	Reason string `json:"reason"`
}

// sagaBody says what is done with an instance, and why.
type sagaBody struct {
	Reason string `json:"reason"`
	// Step is which step to retry, skip or answer.
	Step string `json:"step"`
	// Version is that of the definition to migrate to.
	Version int `json:"version"`
	// Changes are members of the instance's data that an answer changes; Code, if there is one, is that of a failure, Error says what happened.
	Changes map[string]json.RawMessage `json:"changes"`
	Code    string                     `json:"code"`
	Error   string                     `json:"error"`
}

func (b sagaBody) intervention(act sagas.Act, actor string) sagas.Intervene {
	return sagas.Intervene{
		Intervened: sagas.Intervened{Act: act, Step: b.Step, Actor: actor, Reason: b.Reason, Version: b.Version},
		Changes:    b.Changes, Code: b.Code, Failure: b.Error,
	}
}
