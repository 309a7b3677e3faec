package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/httpapi/adminapi"
	"github.com/57528e99/recount/operations"
)

// subscriptionsClient has a running server do what an operator does with subscriptions. The actor is who the server
// takes us for.
type subscriptionsClient struct{ *operationsClient }

func pathOf(name string) string { return "/v1/subscriptions/" + url.PathEscape(name) }

// List returns the status of all subscriptions.
func (c subscriptionsClient) List(ctx context.Context) ([]delivery.Status, error) {
	var all list[delivery.Status]
	err := c.call(ctx, http.MethodGet, "/v1/subscriptions", nil, &all)
	return all.Items, err
}

// Get returns the status of one.
func (c subscriptionsClient) Get(ctx context.Context, name string) (s delivery.Status, err error) {
	return s, c.call(ctx, http.MethodGet, pathOf(name), nil, &s)
}

// Apply makes the subscriptions what the definitions say.
func (c subscriptionsClient) Apply(ctx context.Context, all []delivery.Definition, o delivery.ApplyOptions) ([]delivery.Change, error) {
	path := "/v1/subscriptions"
	if o.DryRun {
		path += "?dry_run=1"
	}
	var done list[delivery.Change]
	err := c.call(ctx, http.MethodPost, path, map[string]any{"subscriptions": all, "prune": o.Prune, "discard_dead": o.Force}, &done)
	return done.Items, err
}

// Delete removes a subscription.
func (c subscriptionsClient) Delete(ctx context.Context, name string, _ int64, force bool, _ string) error {
	path := pathOf(name)
	if force {
		path += "?discard_dead=1"
	}
	return c.call(ctx, http.MethodDelete, path, nil, new(delivery.Change))
}

// Pause stops a subscription until Resume.
func (c subscriptionsClient) Pause(ctx context.Context, name, _ string) error {
	return c.call(ctx, http.MethodPost, pathOf(name)+"/pause", nil, new(operations.Desired))
}

// Resume lets a subscription deliver again.
func (c subscriptionsClient) Resume(ctx context.Context, name, _ string) error {
	return c.call(ctx, http.MethodPost, pathOf(name)+"/resume", nil, new(operations.Desired))
}

// Skip leaves the event out that a subscription has stopped on: whichever that is, for position 0.
func (c subscriptionsClient) Skip(ctx context.Context, name string, position int64, reason, _ string) (int64, error) {
	if position == 0 {
		s, err := c.Get(ctx, name)
		if err != nil {
			return 0, err
		}
		if s.Failure == nil || s.Failure.Position == 0 {
			return 0, delivery.ErrNotStopped
		}
		position = s.Failure.Position
	}
	return position, c.call(ctx, http.MethodPost, pathOf(name)+"/skip", map[string]any{"position": position, "reason": reason}, new(map[string]any))
}

// RetryNow lets an event be tried without waiting longer.
func (c subscriptionsClient) RetryNow(ctx context.Context, name string, position int64, _ string) error {
	return c.call(ctx, http.MethodPost, pathOf(name)+"/retry", map[string]any{"position": position}, new(map[string]any))
}

// Reset moves the cursors of a subscription.
func (c subscriptionsClient) Reset(ctx context.Context, name string, o delivery.ResetOptions) (done delivery.Reset, err error) {
	body := map[string]any{"to": o.To, "reason": o.Reason, "dry_run": o.DryRun}
	return done, c.call(ctx, http.MethodPost, pathOf(name)+"/reset", body, &done)
}

// Replay begins a replay, or counts what matches.
func (c subscriptionsClient) Replay(ctx context.Context, name string, o delivery.ReplayOptions) (r delivery.Replay, err error) {
	body := map[string]any{"from": o.From, "to": o.To, "rate": o.Rate, "allow": o.Allow, "reason": o.Reason, "dry_run": o.DryRun}
	if o.Filter != nil {
		body["filter"] = o.Filter
	}
	if o.Target != nil {
		body["target"] = o.Target
	}
	err = c.call(ctx, http.MethodPost, pathOf(name)+"/replay", body, &r)
	return r, err
}

// Replays returns those that run, and those that have ended.
func (c subscriptionsClient) Replays(ctx context.Context, name string) ([]delivery.Replay, error) {
	var all list[delivery.Replay]
	err := c.call(ctx, http.MethodGet, pathOf(name)+"/replays", nil, &all)
	return all.Items, err
}

// Audit returns what operators did.
func (c subscriptionsClient) Audit(ctx context.Context, name string, limit int) ([]operations.AuditEntry, error) {
	var all list[operations.AuditEntry]
	err := c.call(ctx, http.MethodGet, pathOf(name)+"/audit?limit="+strconv.Itoa(limit), nil, &all)
	return all.Items, err
}

// Explain says what became of the event at a position.
func (c subscriptionsClient) Explain(ctx context.Context, name string, position int64) (x delivery.Explanation, err error) {
	return x, c.call(ctx, http.MethodGet, pathOf(name)+"/explain?position="+strconv.FormatInt(position, 10), nil, &x)
}

// ExplainEvent says what became of the event with an id.
func (c subscriptionsClient) ExplainEvent(ctx context.Context, name string, id uuid.UUID) (x delivery.Explanation, err error) {
	return x, c.call(ctx, http.MethodGet, pathOf(name)+"/explain?event="+id.String(), nil, &x)
}

// Dead returns a page of dead letters.
func (c subscriptionsClient) Dead(ctx context.Context, name string, q delivery.DeadQuery) ([]delivery.DeadLetter, string, error) {
	query := url.Values{}
	set := func(name, value string) {
		if value != "" {
			query.Set(name, value)
		}
	}
	set("class", q.Class)
	set("type", q.Type)
	set("stream", q.Stream)
	set("error", q.Error)
	set("after", q.Cursor)
	if !q.Since.IsZero() {
		set("since", q.Since.Format(time.RFC3339Nano))
	}
	if !q.Until.IsZero() {
		set("until", q.Until.Format(time.RFC3339Nano))
	}
	if q.Limit > 0 {
		set("limit", strconv.Itoa(q.Limit))
	}
	var page struct {
		Items []delivery.DeadLetter `json:"items"`
		Next  *string               `json:"next"`
	}
	err := c.call(ctx, http.MethodGet, pathOf(name)+"/dead?"+query.Encode(), nil, &page)
	if page.Next == nil {
		return page.Items, "", err
	}
	return page.Items, *page.Next, err
}

// Windows returns how all are that count in windows.
func (c subscriptionsClient) Windows(ctx context.Context) ([]delivery.Windows, error) {
	var all list[delivery.Windows]
	err := c.call(ctx, http.MethodGet, "/v1/windows", nil, &all)
	return all.Items, err
}

// WindowsOf returns windows of one.
func (c subscriptionsClient) WindowsOf(ctx context.Context, name string, q delivery.WindowQuery) ([]delivery.OneWindow, string, error) {
	query := url.Values{"limit": {strconv.Itoa(q.Limit)}}
	if q.Key != "" {
		query.Set("key", q.Key)
	}
	if q.Closed {
		query.Set("state", "all")
	}
	var all list[delivery.OneWindow]
	err := c.call(ctx, http.MethodGet, "/v1/windows/"+url.PathEscape(name)+"?"+query.Encode(), nil, &all)
	return all.Items, "", err
}

// DeadGroups returns dead letters by class and message.
func (c subscriptionsClient) DeadGroups(ctx context.Context, name string) ([]delivery.DeadGroup, error) {
	var all list[delivery.DeadGroup]
	err := c.call(ctx, http.MethodGet, pathOf(name)+"/dead-groups", nil, &all)
	return all.Items, err
}

// ShowDead returns a dead letter.
func (c subscriptionsClient) ShowDead(ctx context.Context, name string, position int64) (d adminapi.DeadLetter, err error) {
	return d, c.call(ctx, http.MethodGet, pathOf(name)+"/dead/"+strconv.FormatInt(position, 10), nil, &d)
}

// Redrive lets dead letters be tried again.
func (c subscriptionsClient) Redrive(ctx context.Context, name string, o delivery.DeadOptions) (done delivery.Wished, err error) {
	return done, c.call(ctx, http.MethodPost, pathOf(name)+"/dead/redrive", deadBody(o), &done)
}

// Discard forgets dead letters.
func (c subscriptionsClient) Discard(ctx context.Context, name string, o delivery.DeadOptions) (done delivery.Wished, err error) {
	return done, c.call(ctx, http.MethodPost, pathOf(name)+"/dead/discard", deadBody(o), &done)
}

// Resubmit appends an event in the place of a dead letter.
func (c subscriptionsClient) Resubmit(ctx context.Context, name string, r delivery.Resubmission) (done adminapi.Resubmitted, err error) {
	body := map[string]any{"position": r.Position, "type": r.Type, "schema_version": r.SchemaVersion, "allow": r.Allow, "force": r.Force, "reason": r.Reason}
	if r.Data != nil {
		body["data"] = json.RawMessage(r.Data)
	}
	return done, c.call(ctx, http.MethodPost, pathOf(name)+"/dead/resubmit", body, &done)
}

// deadBody is what the routes take that decide on dead letters.
func deadBody(o delivery.DeadOptions) any {
	return struct {
		delivery.DeadFilter
		All    bool    `json:"all"`
		Reason string  `json:"reason"`
		DryRun bool    `json:"dry_run"`
		Rate   float64 `json:"rate,omitempty"`
	}{o.Filter, o.All, o.Reason, o.DryRun, o.Rate}
}
