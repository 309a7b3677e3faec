package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/sagas"
)

func (prog *Program) sagasCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "sagas", Short: "Inspect the instances of sagas, and act on them"}
	d := prog.databaseFlags(cmd, "a server does it, see --server of the commands")
	return Group(cmd, prog.sagasList(d), prog.sagasShow(d), prog.sagasDiagram(d), prog.sagasCancel(d), prog.sagasTerminate(d), prog.sagasRetry(d), prog.sagasSkip(d),
		prog.sagasMigrate(d), prog.sagasAnswer(d), prog.sagasPause(d), prog.sagasResume(d), prog.sagasRedrive(d))
}

// sagaOperator is what can be done with instances of sagas, as *sagas.Admin does it.
type sagaOperator interface {
	List(ctx context.Context, q sagas.Query) (page []sagas.Summary, next string, err error)
	Show(ctx context.Context, saga, id string, from int64) (sagas.Details, error)
	Act(ctx context.Context, saga, id string, in sagas.Intervene) (sagas.Acted, error)
	Steer(ctx context.Context, saga string, do sagas.Steering, reason, actor string) (sagas.Steered, error)
	Redrive(ctx context.Context, saga, id, reason, actor string) (sagas.Steered, error)
}

var (
	_ sagaOperator = (*sagas.Admin)(nil)
	_ sagaOperator = sagasClient{}
)

// sagasClient has a running server do it. The actor is who the server takes us for.
type sagasClient struct{ *operationsClient }

// List returns a page of instances.
func (c sagasClient) List(ctx context.Context, q sagas.Query) ([]sagas.Summary, string, error) {
	query := url.Values{}
	for name, value := range map[string]string{"saga": q.Saga, "status": string(q.Status), "step": q.Step, "id": q.ID, "after": q.Cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if !q.Before.IsZero() {
		query.Set("before", q.Before.Format(time.RFC3339Nano))
	}
	if q.OldestFirst {
		query.Set("oldest_first", "1")
	}
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	var page struct {
		Items []sagas.Summary `json:"items"`
		Next  *string         `json:"next"`
	}
	err := c.call(ctx, http.MethodGet, "/v1/sagas?"+query.Encode(), nil, &page)
	if page.Next == nil {
		return page.Items, "", err
	}
	return page.Items, *page.Next, err
}

func instancePath(saga, id string) string {
	return "/v1/sagas/" + url.PathEscape(saga) + "/" + url.PathEscape(id)
}

// Show returns an instance.
func (c sagasClient) Show(ctx context.Context, saga, id string, from int64) (d sagas.Details, err error) {
	return d, c.call(ctx, http.MethodGet, instancePath(saga, id)+"?from="+strconv.FormatInt(from, 10), nil, &d)
}

// Steer does something with a saga as a whole.
func (c sagasClient) Steer(ctx context.Context, saga string, do sagas.Steering, reason, _ string) (done sagas.Steered, err error) {
	return done, c.call(ctx, http.MethodPost, "/v1/sagas/"+url.PathEscape(saga)+"/"+string(do), map[string]string{"reason": reason}, &done)
}

// Redrive redrives an instance.
func (c sagasClient) Redrive(ctx context.Context, saga, id, reason, _ string) (done sagas.Steered, err error) {
	return done, c.call(ctx, http.MethodPost, instancePath(saga, id)+"/redrive", map[string]string{"reason": reason}, &done)
}

// Act acts on an instance.
func (c sagasClient) Act(ctx context.Context, saga, id string, in sagas.Intervene) (done sagas.Acted, err error) {
	body := struct {
		Reason  string                     `json:"reason"`
		Step    string                     `json:"step,omitempty"`
		Version int                        `json:"version,omitempty"`
		Changes map[string]json.RawMessage `json:"changes,omitempty"`
		Code    string                     `json:"code,omitempty"`
		Error   string                     `json:"error,omitempty"`
	}{in.Reason, in.Step, in.Version, in.Changes, in.Code, in.Failure}
	return done, c.call(ctx, http.MethodPost, instancePath(saga, id)+"/"+string(in.Act), body, &done)
}
