package adminapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook"
	"github.com/57528e99/recount/delivery/webhook/verify"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/adminapi"
	"github.com/57528e99/recount/internal/pgtest"
)

// hooks is a service with webhooks, and one that receives them.
type hooks struct {
	*testing.T
	api   http.Handler
	admin *delivery.Admin
	store *pgstore.Store
	url   string

	mu sync.Mutex
	// answer says how an event of a type and stream is answered; default 200.
	answer func(kind, stream string) int
	came   []cameHook
}

// cameHook is a request that was answered.
type cameHook struct {
	header http.Header
	body   []byte
	Type   string
	Stream string
	status int
}

func newHooks(t *testing.T) *hooks {
	db := logtest.New(t)
	x := &hooks{T: t}
	pool := db.NewPool(t, func(c *pgxpool.Config) { pgstore.ConfigurePool(c) })
	var err error
	if x.store, err = pgstore.Open(t.Context(), pgstore.Config{Pool: pool, Schema: db.Schema}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.store.Close(context.WithoutCancel(t.Context())) })
	key, err := webhook.NewMasterKey("0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	allow := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	codec, err := eventstore.NewCodec(eventstore.TypeOf[counted]("Counted", 1))
	if err != nil {
		t.Fatal(err)
	}
	runner, err := delivery.NewRunner(delivery.Config{
		Pool: db.NewPool(t, func(c *pgxpool.Config) { c.MaxConns = 8 }), Schema: db.Schema, App: "program", Store: x.store, Codec: codec,
		Targets: map[string]delivery.TargetFactory{
			delivery.KindWebhook: func(d delivery.Definition) (delivery.Target, error) { return webhook.NewSigned(d, allow, key) },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = runner.Stop(context.WithoutCancel(t.Context())) })
	x.admin = delivery.NewAdmin(db.Pool, db.Schema, x.store, "program")
	x.api = webhookAPI(t, x.admin, adminapi.WebhookConfig{Key: key, Allow: allow})
	server := httptest.NewServer(http.HandlerFunc(x.receive))
	t.Cleanup(server.Close)
	x.url = server.URL
	return x
}

func webhookAPI(t *testing.T, admin *delivery.Admin, c adminapi.WebhookConfig) http.Handler {
	a, err := httpapi.New(httpapi.Config{Problems: adminapi.Problems("program")})
	if err != nil {
		t.Fatal(err)
	}
	adminapi.RegisterWebhooks(a, "program", admin, c)
	h, err := a.Handler()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (x *hooks) receive(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c := cameHook{header: r.Header, body: body, status: http.StatusOK}
	_ = json.Unmarshal(body, &c)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.answer != nil {
		c.status = x.answer(c.Type, c.Stream)
	}
	x.came = append(x.came, c)
	w.WriteHeader(c.status)
	_, _ = fmt.Fprintf(w, "answered %d", c.status)
}

// answers sets how events of a stream are answered from now on, "" for those of all.
func (x *hooks) answers(stream string, status int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.answer = func(_, of string) int {
		if stream == "" || of == stream {
			return status
		}
		return http.StatusOK
	}
}

// takes waits for the n-th event of a stream that is taken, and returns it.
func (x *hooks) takes(stream string, n int) (c cameHook) {
	x.Helper()
	x.until("event "+stream, func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		taken := 0
		for _, c = range x.came {
			if c.Stream == stream && c.status == http.StatusOK {
				if taken++; taken == n {
					return true
				}
			}
		}
		return false
	})
	return c
}

func (x *hooks) until(what string, ok func() bool) {
	x.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(end) {
			x.Fatalf("%s never came about", what)
		}
	}
}

// event appends one to a stream and returns its position.
func (x *hooks) event(stream string) int64 {
	x.Helper()
	done, err := x.store.Append(x.Context(), eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any,
		Events: []eventstore.Event{{Type: "Counted", Data: []byte(`{}`)}}}, eventstore.AppendOptions{})
	if err != nil {
		x.Fatal(err)
	}
	return done.Position
}

// asks sends a request, whose answer must have the status, and reads the answer into into.
func (x *hooks) asks(method, path, body string, status int, into any) string {
	x.Helper()
	w := ask(x.api, method, path, body)
	if w.Code != status {
		x.Fatalf("%s %s = %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	text := w.Body.String()
	if into != nil {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			x.Fatal(err)
		}
	}
	return text
}

// status waits until a webhook is as it should be.
func (x *hooks) status(what string, ok func(adminapi.Webhook) bool) (h adminapi.Webhook) {
	x.Helper()
	x.until(what, func() bool {
		h = adminapi.Webhook{}
		x.asks("GET", "/v1/webhooks/acme", "", 200, &h)
		return ok(h)
	})
	return h
}

// verified checks that a request is signed with each of the secrets.
func (x *hooks) verified(c cameHook, secrets ...webhook.Secret) {
	x.Helper()
	for _, s := range secrets {
		v, err := verify.New(s.Secret + s.PublicKey)
		if err == nil {
			err = v.Verify(c.header, c.body)
		}
		if err != nil {
			x.Errorf("%s: %v: %v", c.Stream, err, c.header)
		}
	}
}

// TestAWebhookFromBeginToEnd: made, delivered, rotated, broken, recovered, gone, disabled and enabled, over HTTP, with a process
// that delivers.
func TestAWebhookFromBeginToEnd(t *testing.T) {
	t.Parallel()
	x := newHooks(t)
	x.event("before-1")
	var made, rotated adminapi.Webhook
	x.asks("POST", "/v1/webhooks", `{"id":"acme","url":"`+x.url+`","owner":"acme","types":["Counted"],"retry":{"first":"10ms","cap":"50ms"}}`, 201, &made)
	if len(made.Secrets) != 1 || !strings.HasPrefix(made.Secrets[0].Secret, "whsec_") || made.State != "enabled" || made.Order != "none" {
		t.Fatalf("it was made as %+v", made)
	}
	first, n := x.event("thing-1"), 1
	x.verified(x.takes("thing-1", 1), made.Secrets...)

	// Both secrets sign, until the old one ends; nothing but these answers has them.
	x.asks("POST", "/v1/webhooks/acme/rotate", `{"overlap":"1h"}`, 200, &rotated)
	if len(rotated.Secrets) != 2 || rotated.Secrets[1].Secret != made.Secrets[0].Secret || rotated.Keys[1].Until.IsZero() || rotated.Secrets[0] == made.Secrets[0] {
		t.Fatalf("rotated it is %+v", rotated)
	}
	x.until("a request with both signatures", func() bool {
		n++
		x.event(fmt.Sprint("thing-", n))
		c := x.takes(fmt.Sprint("thing-", n), 1)
		x.verified(c, made.Secrets...)
		if len(strings.Fields(c.header.Get("webhook-signature"))) < 2 {
			return false // whoever delivers has not heard of it
		}
		x.verified(c, rotated.Secrets...)
		return true
	})
	for _, path := range []string{"/v1/webhooks", "/v1/webhooks/acme", "/v1/webhooks/acme/attempts"} {
		if text := x.asks("GET", path, "", 200, nil); strings.Contains(text, "whsec_") {
			t.Errorf("%s tells a secret: %s", path, text)
		}
	}
	if text := x.asks("POST", "/v1/webhooks/acme/secret", "", 200, nil); strings.Count(text, "whsec_") != 2 {
		t.Errorf("the secrets are %s", text)
	}

	// A test event and one that is sent again are attempts like the others.
	var tested delivery.AttemptRecord
	if x.asks("POST", "/v1/webhooks/acme/test", "", 200, &tested); tested.Status != 200 || tested.Outcome != "done" || tested.Answer != "answered 200" {
		t.Errorf("the test was %+v", tested)
	}
	x.verified(x.takes("webhook.test-webhook.acme", 1), rotated.Secrets...)
	if audit, err := x.admin.Audit(t.Context(), "webhook.acme", 2); err != nil || len(audit) != 2 || audit[0].Action != "test" || audit[0].Detail != "done" ||
		audit[1].Action != "show secrets" || audit[1].Actor != "api" {
		t.Errorf("of who has seen the secrets and sent a test the audit says %+v, %v", audit, err)
	}
	var again delivery.Resent
	if x.asks("POST", "/v1/webhooks/acme/resend", fmt.Sprintf(`{"position":%d}`, first), 200, &again); again.Done != delivery.Sent || again.Attempt.Status != 200 {
		t.Errorf("sent again: %+v", again)
	}
	if c := x.takes("thing-1", 2); c.header.Get("X-Event-ID") != x.takes("thing-1", 1).header.Get("X-Event-ID") || c.header.Get("recount-redrive") != "true" {
		t.Errorf("sent again is %v", c.header)
	}
	x.until("the attempts", func() bool {
		text := x.asks("GET", fmt.Sprintf("/v1/webhooks/acme/attempts?position=%d", first), "", 200, nil)
		return strings.Count(text, `"Webhook-Signature":"v1,`) == 2 && strings.Count(text, `"answer":"answered 200"`) == 2
	})

	// One event that is refused while others are taken is a dead letter, and comes when all is recovered.
	x.answers("poison-1", http.StatusUnprocessableEntity)
	since := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	poison := x.event("poison-1")
	x.status("a dead letter", func(h adminapi.Webhook) bool {
		n++
		x.event(fmt.Sprint("thing-", n))
		return h.Dead == 1
	})
	x.answers("", http.StatusOK)
	if text := x.asks("POST", "/v1/webhooks/acme/recover", `{"since":"`+since+`"}`, 200, nil); !strings.Contains(text, `"redriven":1`) {
		t.Errorf("recovered: %s", text)
	}
	x.verified(x.takes("poison-1", 1), rotated.Secrets...)
	x.status("no dead letter", func(h adminapi.Webhook) bool { return h.Dead == 0 && h.Waiting == 0 })
	if text := x.asks("GET", "/v1/webhooks/acme/attempts?failed=true&limit=1", "", 200, nil); !strings.Contains(text, fmt.Sprintf(`"position":%d`, poison)) || !strings.Contains(text, `"status":422`) {
		t.Errorf("the attempts that failed are %s", text)
	}

	// What was there before it was made comes when it is asked for, and what was not is done at once.
	if text := x.asks("POST", "/v1/webhooks/acme/replay-missing", `{"since":"`+since+`"}`, 200, nil); !strings.Contains(text, `"name":"webhook.acme@`) {
		t.Errorf("what is missing is replayed as %s", text)
	}
	if c := x.takes("before-1", 1); !strings.HasPrefix(c.header.Get("recount-replay"), "webhook.acme@") {
		t.Errorf("what was missing came with %v", c.header)
	}
	if text := x.asks("POST", "/v1/webhooks/acme/replay-missing", `{"since":"`+time.Now().UTC().Format(time.RFC3339Nano)+`"}`, 200, nil); !strings.Contains(text, `"state":"done"`) {
		t.Errorf("nothing is missing, and is %s", text)
	}

	// One who says that they are gone gets nothing more, and loses nothing.
	x.answers("", http.StatusGone)
	x.event("gone-1")
	gone := x.status("a receiver that is gone", func(h adminapi.Webhook) bool { return h.State == "disabled" })
	if gone.Disabled.By != "receiver" || !strings.Contains(gone.Disabled.Error, "410") {
		t.Errorf("it is disabled as %+v", gone.Disabled)
	}
	x.event("gone-2")
	x.answers("", http.StatusOK)
	x.asks("PATCH", "/v1/webhooks/acme", `{"state":"enabled"}`, 200, nil)
	x.takes("gone-1", 1)
	x.takes("gone-2", 1)

	// So does one whom an operator disables.
	x.asks("PATCH", "/v1/webhooks/acme", `{"state":"disabled","description":"for a while"}`, 200, nil)
	x.status("a webhook that nobody delivers", func(h adminapi.Webhook) bool {
		return h.State == "disabled" && h.Disabled.By == "operator" && h.Description == "for a while" && h.Owner == "acme"
	})
	x.event("later-1")
	x.asks("PATCH", "/v1/webhooks/acme", `{"state":"enabled"}`, 200, nil)
	x.takes("later-1", 1)
	x.asks("DELETE", "/v1/webhooks/acme", "", 200, nil)
	x.asks("GET", "/v1/webhooks/acme", "", 404, nil)
}

// TestWebhooksAreMadeAndListed over HTTP, while no process delivers.
func TestWebhooksAreMadeAndListed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	admin := delivery.NewAdmin(db.Pool, db.Schema, memstore.New(memstore.Config{}), "program")
	key, err := webhook.NewMasterKey("0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	with, without := webhookAPI(t, admin, adminapi.WebhookConfig{Key: key}), webhookAPI(t, admin, adminapi.WebhookConfig{})
	const at = `"url":"https://example.com/hooks"`
	for _, c := range []struct {
		request, body, header string
		status                int
		want                  string
	}{
		{"POST /v1/webhooks", `{"url":"http://example.com"}`, "", 400, `"pointer":"/url","detail":"must be https`},
		{"POST /v1/webhooks", `{"url":"http://127.0.0.2"}`, "allowing", 201, `"url":"http://127.0.0.2"`},
		{"POST /v1/webhooks", `{"url":"http://192.0.2.1/"}`, "allowing", 400, `"pointer":"/url","detail":"cannot be sent to`},
		{"POST /v1/webhooks", `{"url":"https://10.0.0.1/"}`, "", 400, `"pointer":"/url","detail":"cannot be sent to`},
		{"POST /v1/webhooks", `{` + at + `,"types":[]}`, "", 400, `"pointer":"/types"`},
		{"POST /v1/webhooks", `{}`, "", 400, `"pointer":"/url","detail":"must be there`},
		{"POST /v1/webhooks", `{"id":"A"}`, "", 400, `"pointer":"/id"`},
		{"POST /v1/webhooks", `{` + at + `,"order":"random"}`, "", 400, `"pointer":"/order","detail":"must be \"none\" or \"stream\""`},
		{"POST /v1/webhooks", `{` + at + `,"types":["A"],"filter":{"type":["A"]}}`, "", 400, `"pointer":"/types"`},
		{"POST /v1/webhooks", `{` + at + `,"filter":{"type":"A"}}`, "", 400, `"pointer":"/filter/type"`},
		{"POST /v1/webhooks", `{` + at + `,"headers":{"Authorization":"Bearer x"}}`, "", 400, `"pointer":"/headers/Authorization","detail":"must not be text`},
		{"POST /v1/webhooks", `{` + at + `,"secret":"whsec_AAAA"}`, "", 400, `"pointer":"/secret"`},
		{"POST /v1/webhooks", `{` + at + `}`, "without", 409, "PROGRAM_WEBHOOK_KEY"},
		{"POST /v1/webhooks", `{"id":"own",` + at + `,"secret":{"env":"RECOUNT_SECRET_HOOK"},"owner":"b"}`, "without", 201, `"secret":{"env":"RECOUNT_SECRET_HOOK"}`},
		{"POST /v1/webhooks/own/rotate", `{}`, "", 409, "webhook-brings-secret"},
		{"POST /v1/webhooks/own/secret", ``, "", 409, "webhook-brings-secret"},
		{"POST /v1/webhooks", `{"id":"a1",` + at + `,"owner":"a","signature":"v1a","order":"stream","types":["A","B"],"rate_limit":5}`, "", 201, `"public_key":"whpk_`},
		{"GET /v1/webhooks/a1", "", "", 200, `"filter":{"type":["A","B"]},"order":"stream","rate_limit":5,`},
		{"POST /v1/webhooks", `{"id":"a1",` + at + `}`, "", 409, "webhook-exists"},
		{"POST /v1/webhooks", `{"id":"a2",` + at + `,"owner":"a","state":"disabled"}`, "", 201, `"state":"disabled"`},
		{"POST /v1/webhooks", `{"id":"a3",` + at + `,"owner":"a"}`, "", 201, `"order":"none"`},
		{"GET /v1/webhooks?owner=a&limit=2", "", "", 200, `"next":"a2"`},
		{"GET /v1/webhooks?owner=a&limit=2&after=a2", "", "", 200, `{"items":[{"id":"a3",`},
		{"GET /v1/webhooks?owner=c", "", "", 200, `{"items":[],"next":null}`},
		{"GET /v1/webhooks?owner=b", "", "", 200, `{"items":[{"id":"own",`},
		{"PATCH /v1/webhooks/a1", `{"signature":"v1"}`, "", 400, `"pointer":"/signature","detail":"must be left out`},
		{"PATCH /v1/webhooks/a1", `{"start":"end","id":"x"}`, "", 400, `[{"pointer":"/id","detail":"must be left out: it is said when the webhook is made"},{"pointer":"/start",`},
		{"PATCH /v1/webhooks/a1", `{"url":"https://example.com/b"}`, `If-Match: "2"`, 412, "subscription-changed"},
		{"PATCH /v1/webhooks/a1", `{"url":"https://example.com/b","filter":null}`, `If-Match: "1"`, 200, `"url":"https://example.com/b"`},
		{"PATCH /v1/webhooks/a1", `{"url":"ftp://x"}`, "", 400, `"pointer":"/url"`},
		{"PATCH /v1/webhooks/none", `{}`, "", 404, "webhook-not-found"},
		{"POST /v1/webhooks/a1/rotate", `{"overlap":"8760h"}`, "", 400, `"pointer":"/overlap"`},
		{"POST /v1/webhooks/a1/rotate", `{"overlap":"0s"}`, "", 200, `"revision":3`},
		{"POST /v1/webhooks/a1/secret", ``, "without", 409, "webhook-key-missing"},
		{"POST /v1/webhooks/a1/resend", `{"position":1}`, "", 400, `"pointer":"/position"`},
		{"POST /v1/webhooks/a1/recover", `{}`, "", 400, `"pointer":"/since"`},
		{"POST /v1/webhooks/a1/replay-missing", `{}`, "", 400, `"pointer":"/since"`},
		{"GET /v1/webhooks/a1/attempts?after=x", "", "", 400, `"pointer":"/after"`},
		{"GET /v1/webhooks/a1/attempts", "", "", 200, `"items":[]`},
		{"DELETE /v1/webhooks/a1", "", "", 200, `"done":"deleted"`},
		{"DELETE /v1/webhooks/a1", "", "", 404, "webhook-not-found"},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		api, header := with, c.header
		switch header {
		case "without":
			api, header = without, ""
		case "allowing":
			api, header = webhookAPI(t, admin, adminapi.WebhookConfig{Key: key, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}), ""
		}
		w := ask(api, method, path, c.body, header)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s with %s = %d %s, want %d %s", c.request, c.body, c.header, w.Code, w.Body, c.status, c.want)
		}
	}
	// Changes that name no revision all come to pass, whoever is first.
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			body := fmt.Sprintf(`{"headers":{"X-%d":"here"},"description":"the change %d"}`, i, i)
			if w := ask(with, "PATCH", "/v1/webhooks/a2", body, ""); w.Code != 200 {
				t.Errorf("PATCH among others = %d %s", w.Code, w.Body)
			}
		})
	}
	all.Wait()
	if w := ask(with, "GET", "/v1/webhooks/a2", "", ""); !strings.Contains(w.Body.String(), `"revision":9`) {
		t.Errorf("changed by eight it is %s", w.Body)
	}
	// As many secrets sign as may.
	for n := 2; n <= 9; n++ {
		w := ask(with, "POST", "/v1/webhooks/a3/rotate", `{"overlap":"1h"}`, "")
		if n <= 8 && w.Code != 200 || n > 8 && (w.Code != 400 || !strings.Contains(w.Body.String(), `"pointer":"/overlap"`)) {
			t.Errorf("rotated to %d secrets = %d %s", n, w.Code, w.Body)
		}
	}
	// A file of subscriptions does not have them, and takes none away.
	if changes, err := admin.Apply(t.Context(), nil, delivery.ApplyOptions{Prune: true}); err != nil || len(changes) != 0 {
		t.Errorf("Apply of nothing, with Prune = %v, %v", changes, err)
	}
}
