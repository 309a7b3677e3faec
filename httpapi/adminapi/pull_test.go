package adminapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/adminapi"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/projections"
)

// puller is a caller of a server that has a subscription, jobs.
type puller struct {
	*testing.T
	h http.Handler
}

// pull returns the deliveries, of which there are n.
func (p *puller) pull(n int) []adminapi.PullDelivery {
	p.Helper()
	w := ask(p.h, "POST", "/v1/subscriptions/jobs/pull", `{"max":10,"wait":"5s","lease":"1m"}`)
	var got adminapi.Deliveries
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || len(got.Deliveries) != n {
		p.Fatalf("pulled %d %s, want %d", w.Code, w.Body, n)
	}
	return got.Deliveries
}

// say wants an answer to have a text.
func (p *puller) say(path, body string, status int, want string) {
	p.Helper()
	if w := ask(p.h, "POST", "/v1/subscriptions/"+path, body); w.Code != status || !strings.Contains(w.Body.String(), want) {
		p.Errorf("POST %s %s = %d %s, want %d %s", path, body, w.Code, w.Body, status, want)
	}
}

func tokens(rest string, all ...adminapi.PullDelivery) string {
	var list []string
	for _, d := range all {
		list = append(list, fmt.Sprintf("%q", d.Token))
	}
	return fmt.Sprintf(`{"tokens":[%s]%s}`, strings.Join(list, ","), rest)
}

func TestEventsArePulled(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	store := memstore.New(memstore.Config{})
	for _, stream := range []string{"thing-1", "thing-1", "thing-2"} {
		if _, err := store.Append(t.Context(), eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any,
			Events: []eventstore.Event{{Type: "Counted", Data: []byte(`{"n":1}`)}}}, eventstore.AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	broker, err := delivery.NewBroker(delivery.BrokerConfig{Pool: db.Pool, Schema: db.Schema, App: "program", Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer broker.Stop(context.WithoutCancel(t.Context()))
	a, err := httpapi.New(httpapi.Config{Problems: adminapi.Problems("program")})
	if err != nil {
		t.Fatal(err)
	}
	adminapi.Register(a, "program", projections.NewAdmin(db.Pool, db.Schema, store), delivery.NewAdmin(db.Pool, db.Schema, store, "program"), broker)
	h, err := a.Handler()
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"jobs": `{"pull":{}}`, "mails": `{"append":{"stream":"mail"}}`} {
		if w := ask(h, "PUT", "/v1/subscriptions/"+name, `{"start":"beginning","target":`+target+`}`); w.Code != 201 {
			t.Fatal(w.Code, w.Body)
		}
	}
	p := &puller{t, h}
	first := p.pull(2)
	if text := string(first[0].Event); first[0].Attempt != 1 || first[0].Deadline.IsZero() ||
		!strings.HasPrefix(text, `{"position":1,"stream":"thing-1"`) || !strings.HasSuffix(text, `"data":{"n":1}}`) {
		t.Errorf("the first delivery is %+v", first[0])
	}
	p.say("jobs/extend", tokens(`,"lease":"2m"`, first...), 200, `"status":200,"outcome":"settled","deadline":`)
	p.say("jobs/ack", tokens("", first[0]), 200, `{"items":[{"token":"`+first[0].Token+`","status":200,"outcome":"settled"}]}`)
	p.say("jobs/ack", tokens("", first[0]), 200, `"status":410,"outcome":"gone"`)
	p.say("jobs/nack", tokens(`,"permanent":true,"error":"poison"`, first[1]), 200, `"outcome":"settled","dead":true`)
	second := p.pull(1)
	p.say("jobs/nack", tokens(`,"delay":"0s"`, second[0]), 200, `"status":200`)
	again := p.pull(1)
	if again[0].Attempt != 2 || again[0].Token == second[0].Token {
		t.Errorf("again %+v", again[0])
	}
	p.say("jobs/ack", tokens("", second[0]), 409, "token-overtaken")
	p.say("jobs/ack", tokens("", second[0], again[0]), 200, `"status":409,"outcome":"overtaken"},{"token":"`+again[0].Token+`","status":200`)
	p.say("jobs/dead/redrive", `{"all":true}`, 200, `"count":1`)
	redriven := p.pull(1)
	if !redriven[0].Redrive || !strings.Contains(string(redriven[0].Event), `"stream":"thing-2"`) {
		t.Errorf("redriven %+v", redriven[0])
	}
	p.say("jobs/ack", tokens("", redriven[0]), 200, `"settled"`)
	p.say("jobs/pull", "", 200, `{"deliveries":[]}`)

	p.say("none/pull", "{}", 404, "subscription-not-found")
	p.say("mails/pull", "{}", 409, "subscription-not-pulled")
	p.say("jobs/pull", `{"max":1001}`, 400, `"pointer":"/max"`)
	p.say("jobs/pull", `{"wait":"21s"}`, 400, `"pointer":"/wait"`)
	p.say("jobs/pull", `{"lease":"1ms"}`, 400, `"pointer":"/lease"`)
	p.say("jobs/ack", `{}`, 400, `"pointer":"/tokens"`)
	p.say("jobs/ack", `{"tokens":["x"]}`, 400, `"pointer":"/tokens"`)
	p.say("jobs/nack", tokens(`,"delay":"25h"`, first[0]), 400, `"pointer":"/delay"`)
}
