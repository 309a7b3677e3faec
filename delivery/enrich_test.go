package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/delivery/transform"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// customersFold has a row per customer, whose total is that of the orders so far.
func customersFold() projections.Projection {
	f := projections.NewFold[string, struct{ Total int64 }](projections.Table{Name: "customers", Version: 1, Key: []string{"name"}})
	projections.Upsert(f, func(e placed, _ projections.Recorded) string { return e.Customer }, func(c *struct{ Total int64 }, e placed, _ projections.Recorded) error {
		c.Total += e.Total
		return nil
	})
	return f
}

// TestEventsAreEnrichedFromReadModels: by the row as it is at the event or later, whenever the projection comes there; what has no row fails for good,
// is dropped or goes on, as the definition says, and a lookup that fails drops nothing. Transform, target and a function in the database see it.
func TestEventsAreEnrichedFromReadModels(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	b.exec(`CREATE TABLE {schema}.got (position bigint, enriched jsonb)`)
	b.exec(b.records.sql(`CREATE FUNCTION {schema}.take(e jsonb) RETURNS void LANGUAGE sql AS
		$$ INSERT INTO {schema}.got VALUES ((e->>'position')::bigint, e->'enriched') $$`))
	got := make(map[string]*seen)
	subscribe := func(name string, without Without, wait time.Duration, more func(*Definition)) Subscription {
		s := &seen{}
		got[name] = s
		h := HandleRaw(name, func(_ context.Context, d *Delivery) error {
			for _, e := range d.Events {
				s.add(e)
			}
			return nil
		})
		return from(AtBeginning, h, func(d *Definition) {
			d.Partitions, d.Batch.MaxEvents = 1, 5
			d.Enrich = map[string]Enrichment{"customer": {Projection: "customers", Key: EnrichKey{"$.data.Customer"}, Wait: Duration(wait), Without: without}}
			if more != nil {
				more(d)
			}
		})
	}
	long := time.Minute
	subscriptions := []Subscription{
		subscribe("waits", WithoutFail, long, nil), subscribe("drops", WithoutDrop, long, nil), subscribe("goes-on", WithoutContinue, long, nil),
		subscribe("becomes", WithoutDrop, long, func(d *Definition) {
			d.Transform = &transform.Config{JSONata: `enriched.customer.total > 5 ? {'of': enriched.customer.name, 'total': enriched.customer.total}`}
		}),
		{Definition: Definition{Name: "function", Start: Start{At: AtBeginning}, Partitions: 1, Target: TargetConfig{SQL: &SQLTarget{Function: b.schema + ".take"}},
			Enrich: map[string]Enrichment{"customer": {Projection: "customers", Key: EnrichKey{"$.data.Customer"}, Wait: Duration(long), Without: WithoutContinue}}}},
	}
	// Nothing is there yet: events are tried again, and none is dropped.
	ann, none := b.events("order-1", placed{Total: 5, Customer: "ann"}), b.events("order-2", cancelled{})
	b.process("one", declare(subscriptions...))
	b.isHeld("drops", ann)
	rows := b.projects(customersFold())
	bob := b.events("order-3", placed{Total: 7, Customer: "bob"})
	b.has(got["waits"], ann, bob)
	b.has(got["drops"], ann, bob)
	b.has(got["goes-on"], ann, none, bob)
	b.has(got["becomes"], bob)
	b.cursors("waits", bob, map[string]int{"dead": 1})
	for _, name := range []string{"drops", "goes-on", "becomes", "function"} {
		b.cursors(name, bob, nil)
	}
	for name, want := range map[string]map[int64]string{
		"waits":   {ann: `{"customer":{"name":"ann","total":5}}`, bob: `{"customer":{"name":"bob","total":7}}`},
		"goes-on": {bob: `{"customer":{"name":"bob","total":7}}`, none: ""},
		"becomes": {bob: ""},
	} {
		for _, e := range got[name].list {
			if text, ok := want[e.Position]; ok && string(e.Enriched) != text {
				t.Errorf("%s: beside event %d there is %q, want %q", name, e.Position, e.Enriched, text)
			}
		}
	}
	if data := string(got["becomes"].list[0].Data); data != `{"of":"bob","total":7}` {
		t.Errorf("the transform makes %s", data)
	}
	if text := read[string](b, `SELECT enriched::text FROM {schema}.got WHERE position = $1`, bob); text != `{"customer": {"name": "bob", "total": 7}}` {
		t.Errorf("the function gets %s", text)
	}
	for name, want := range map[string]struct {
		position int64
		state    ExplainedState
		text     string
	}{
		"waits":   {none, IsDead, "enrich customer: the event has no text, number, true or false as $.data.Customer"},
		"drops":   {none, Dropped, "there is no customer for it now, for which it is dropped"},
		"goes-on": {none, IsDelivered, "there is no customer for it now: the event has no"},
		"becomes": {ann, Dropped, "its transform makes nothing of it; customer is in projection customers now"},
	} {
		x, err := b.admin().Explain(t.Context(), name, want.position)
		if err != nil || x.State != want.state || !strings.Contains(x.Text, want.text) {
			t.Errorf("%s: it is said %s: %s, %v, want %s: %s", name, x.State, x.Text, err, want.state, want.text)
		}
	}
	for data, want := range map[string]map[string]string{
		`{}`: {"waits": "it would be a dead letter; there is no customer for it", "drops": "it would count as delivered",
			"goes-on": "it would get it; there is no customer for it now"},
		`{"Customer":"zed"}`: {"waits": "whether it would get it depends on what is found for it", "drops": "whether it would get it depends",
			"goes-on": "it would get it; there is no customer for it now"},
		`{"Customer":"bob"}`: {"waits": "it would get it; customer is in projection customers now", "drops": "it would get it; customer is in"},
	} {
		r, err := b.admin().Routes(t.Context(), RoutesQuery{Event: &pattern.Event{Type: "Happened", Stream: "order-9", Data: []byte(data)}})
		if err != nil || len(r.Items) != len(subscriptions) {
			t.Fatalf("of %s: %+v, %v", data, r, err)
		}
		for _, x := range r.Items {
			if text := want[x.Subscription]; !strings.Contains(x.Text, text) {
				t.Errorf("of %s it is said of %s: %s, want %s", data, x.Subscription, x.Text, text)
			}
		}
	}
	// Again, with what is there now; another generation is in view.
	b.events("order-4", placed{Total: 10, Customer: "ann"})
	if _, err := rows.Run(t.Context(), operations.Request{Kind: projections.Rebuild, Subject: "customers", Actor: "test"}, nil); err != nil {
		t.Fatal(err)
	}
	got["goes-on"].clear()
	if _, err := b.admin().Reset(t.Context(), "goes-on", ResetOptions{To: Start{At: AtBeginning}, Reason: "test", Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	b.eventually(func() error {
		got["goes-on"].mu.Lock()
		defer got["goes-on"].mu.Unlock()
		for _, e := range got["goes-on"].list {
			if e.Position == ann && string(e.Enriched) == `{"customer":{"name":"ann","total":15}}` {
				return nil
			}
		}
		return fmt.Errorf("after the reset there is no event %d with the row of today", ann)
	})
}

// TestMistakesInEnrichmentsAreNamed: those of the definition, and those that only the database knows.
func TestMistakesInEnrichmentsAreNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	b.projects(customersFold(), ordersFold("orders", ""))
	b.eventually(func() error {
		if n := read[int](b, `SELECT count(*) FROM {schema}.projection_generations`); n != 2 {
			return fmt.Errorf("there are %d projections", n)
		}
		return nil
	})
	const target = `"target":{"handler":{"name":"h"}}`
	for text, want := range map[string]string{
		`"enrich":{"c":{"projection":"customer","key":"$.data.Customer"}},` + target:                                          "/enrich/c/projection is not there: there are customers, orders",
		`"enrich":{"c":{"projection":"customers","key":["$.data.a","$.data.b"]}},` + target:                                   "/enrich/c/key must be 1, the paths of the key of customers: name",
		`"enrich":{"c":{"projection":"customers","key":"data.a"}},` + target:                                                  `/enrich/c/key "data.a" must be a path`,
		`"enrich":{"c":{"projection":"customers","key":7}},` + target:                                                         "/enrich/c/key must be a path such as",
		`"enrich":{"c":{"projection":"customers"}},` + target:                                                                 "/enrich/c/key must be there",
		`"enrich":{"c":{"projection":"customers","key":"$.a","wait":"2m"}},` + target:                                         "/enrich/c/wait must be from 0s to 1m",
		`"enrich":{"c":{"projection":"customers","key":"$.a","without":"skip"}},` + target:                                    `/enrich/c/without must be "fail", "drop" or "continue"`,
		`"enrich":{"c-d":{"projection":"customers","key":"$.a"}},` + target:                                                   "/enrich/c-d must have a name of letters",
		`"enrich":{"c":{}},` + target:                                                                                         `/enrich/c must have one of "projection" and "http"`,
		`"enrich":{"c":{"http":{"url":"https://{$.data.host}/x"}}},` + target:                                                 "/enrich/c/http/url must have its values behind the host",
		`"enrich":{"c":{"http":{"url":"https://example.com{$.data.host}/x"}}},` + target:                                      "/enrich/c/http/url must have its values behind the host",
		`"enrich":{"c":{"http":{"url":"https://example.com/{data.id}"}}},` + target:                                           `/enrich/c/http/url "data.id" must be a path`,
		`"enrich":{"c":{"http":{"url":"https://example.com/{$.a}}"}}},` + target:                                              "/enrich/c/http/url must have { and } around",
		`"enrich":{"c":{"http":{"url":"https://example.com/?token={$.a}"}}},` + target:                                        `/enrich/c/http/url must not have "token" in its query`,
		`"enrich":{"c":{"http":{"url":"https://example.com","headers":{"Authorization":"x"}}}},` + target:                     "/enrich/c/http/headers/Authorization must not be text",
		`"enrich":{"c":{"http":{"url":"https://example.com","cache":{"ttl":"25h"}}}},` + target:                               "/enrich/c/http/cache/ttl must be from 0s to 24h",
		`"enrich":{"c":{"http":{"url":"https://example.com"},"wait":"1s"}},` + target:                                         "with a projection only",
		`"enrich":{"c":{"projection":"customers","key":"$.a"}},"target":{"pull":{}}`:                                          "/enrich must not be there for what is pulled",
		`"enrich":{"c":{"projection":"customers","key":"$.a"}},"target":{"append":{"stream":"x"}}`:                            "/enrich must have a transform beside it",
		`"enrich":{"c":{"projection":"customers","key":"$.a"}},"target":{"http":{"url":"https://a.example","format":"data"}}`: "/enrich must have a transform beside it",
		`"enrich":{"c":{"projection":"customers","key":"$.a"}},"target":{"nats":{"servers":["nats://a"],"subject":"x"}}`:      "/enrich must not be there for this target",
	} {
		d, err := ParseDefinition([]byte(`{`+text+`}`), "refused")
		if err == nil {
			_, err = b.admin().Put(t.Context(), d, PutOptions{})
		}
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	// What is right is kept, and the same again is no change.
	const right = `{"enrich":{"c":{"projection":"customers","key":"$.data.Customer"},"h":{"http":{"url":"https://example.com/{$.data.id}"},"without":"drop"}},` + target + `}`
	for _, want := range []ChangeDone{Created, Unchanged} {
		d, err := ParseDefinition([]byte(right), "kept")
		if err != nil {
			t.Fatal(err)
		}
		if c, err := b.admin().Put(t.Context(), d, PutOptions{}); err != nil || c.Done != want {
			t.Errorf("it is %s, %v, want %s", c.Done, err, want)
		}
	}
	d, err := ParseDefinition([]byte(strings.Replace(right, `"drop"`, `"fail"`, 1)), "kept")
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.admin().Put(t.Context(), d, PutOptions{})
	if err != nil || c.Done != Changed || len(c.Fields) != 1 || c.Fields[0].Pointer != "/enrich/h/without" {
		t.Errorf("a change is %+v, %v", c, err)
	}
	// A program of before, which would leave it out, does not get it.
	if needs := read[string](b, `SELECT needs FROM {schema}.subscriptions WHERE name = 'kept'`); needs != "asking:handler:h" {
		t.Errorf("it needs %q", needs)
	}
}

// asked answers questions, by what is behind the host, and counts them.
type asked struct {
	answers map[string]any // a text or an error
	count   int
}

func (a *asked) Close() {}

func (a *asked) Get(_ context.Context, from *url.URL) ([]byte, error) {
	a.count++
	switch answer := a.answers[from.RequestURI()].(type) {
	case error:
		return nil, answer
	case string:
		return []byte(answer), nil
	}
	return nil, fmt.Errorf("nobody knows of %s", from)
}

// TestServersAreAsked: for what the event says, escaped; an answer is remembered, also that there is none; one that fails is not, and after some
// nobody is asked but to probe.
func TestServersAreAsked(t *testing.T) {
	t.Parallel()
	notFound := Permanent(&ResponseError{Status: 404})
	server := &asked{answers: map[string]any{
		"/c/7?of=a%26b": ` {"name":"Ann"} `, "/c/null?of=x": "null", "/c/empty?of=x": "", "/c/404?of=x": notFound,
		"/c/410?of=x": Gone(&ResponseError{Status: 410}), "/c/stop?of=x": Gone(&ResponseError{Status: 403}), "/c/text?of=x": "<html>",
		"/c/400?of=x": Permanent(&ResponseError{Status: 400}), "/c/a%2Fb%20%7B?of=x": "1", "/c/true?of=1.5": "[]",
	}}
	ask := func(without Without, ttl time.Duration, size int) func(data string, as ...Event) (string, bool, error) {
		d := Definition{Name: "s", Target: TargetConfig{Handler: &HandlerTarget{Name: "h"}}, Enrich: map[string]Enrichment{"c": {Without: without,
			HTTP: &EnrichHTTP{URL: "https://example.com/c/{$.data.id}?of={$.data['of']}", Breaker: 3, Cache: EnrichCache{TTL: new(Duration(ttl)), Size: size}}}}}
		d, err := d.Checked()
		if err != nil {
			t.Fatal(err)
		}
		r, err := newEnricher(&d, lookups{asks: func(EnrichHTTP) (Asker, error) { return server, nil }})
		if err != nil {
			t.Fatal(err)
		}
		return func(data string, as ...Event) (string, bool, error) {
			e := Event{}
			if len(as) > 0 {
				e = as[0]
			}
			e.RecordedEvent = &eventstore.RecordedEvent{Stream: "s-1", Event: eventstore.Event{Data: []byte(data)}}
			found, dropped, err := r.enrich(t.Context(), eventstore.Token{}, &e, time.Now())
			return string(found), dropped, err
		}
	}
	for _, c := range []struct {
		data, want string
		nothing    bool // of what is sought
		asks       int
		fails      Outcome // of without: fail
	}{
		{`{"id":7,"of":"a&b"}`, `{"c":{"name":"Ann"}}`, false, 1, Done},
		{`{"id":"a/b {","of":"x"}`, `{"c":1}`, false, 1, Done},
		{`{"id":true,"of":1.5}`, `{"c":[]}`, false, 1, Done},
		{`{"id":"null","of":"x"}`, "", true, 1, PermanentFailure},
		{`{"id":"empty","of":"x"}`, "", true, 1, PermanentFailure},
		{`{"id":"404","of":"x"}`, "", true, 1, PermanentFailure},
		{`{"id":"410","of":"x"}`, "", true, 1, PermanentFailure},
		{`{"id":"..","of":"x"}`, "", true, 0, PermanentFailure},
		{`{"id":"../../admin","of":"x"}`, "", true, 0, PermanentFailure},
		{`{"id":"","of":"x"}`, "", true, 0, PermanentFailure},
		{`{"id":{},"of":"x"}`, "", true, 0, PermanentFailure},
		{`{"of":"x"}`, "", true, 0, PermanentFailure},
		{`{"id":null,"of":"x"}`, "", true, 0, PermanentFailure},
		{`{"id":"stop","of":"x"}`, "", false, 2, PostponedOutcome}, // as the one before failed, too
		{`{"id":"text","of":"x"}`, "", false, 2, PostponedOutcome},
		{`{"id":"unknown","of":"x"}`, "", false, 2, PostponedOutcome},
	} {
		server.count = 0
		fail := ask(WithoutFail, time.Hour, 10)
		_, _, _ = fail(c.data)
		found, dropped, err := fail(c.data)
		if outcome, _ := OutcomeOf(err); found != c.want || dropped || outcome != c.fails || server.count != c.asks {
			t.Errorf("%s: %q, %t, %v (%s), and %d questions, want %q, %s and %d", c.data, found, dropped, err, outcome, server.count, c.want, c.fails, c.asks)
		}
		if class := classOf(err); err != nil && class != "enrich" {
			t.Errorf("%s: %v is of class %s", c.data, err, class)
		}
		if found, dropped, err := ask(WithoutDrop, 0, 1)(c.data); dropped != c.nothing || (err != nil) != (c.fails != Done && !c.nothing) || found != c.want {
			t.Errorf("%s: drop gives %q, %t, %v", c.data, found, dropped, err)
		}
		if found, dropped, err := ask(WithoutContinue, 0, 1)(c.data); dropped || err != nil || found != c.want {
			t.Errorf("%s: continue gives %q, %t, %v", c.data, found, dropped, err)
		}
	}
	// The last that were used are remembered, and nothing where that is for no time.
	for _, c := range []struct {
		ttl        time.Duration
		size, asks int
	}{{time.Hour, 2, 3}, {time.Hour, 1, 4}, {0, 2, 4}} {
		server.count = 0
		one := ask(WithoutContinue, c.ttl, c.size)
		for _, data := range []string{`{"id":7,"of":"a&b"}`, `{"id":true,"of":1.5}`, `{"id":7,"of":"a&b"}`, `{"id":"404","of":"x"}`} {
			_, _, _ = one(data)
		}
		if server.count != c.asks {
			t.Errorf("with %s and %d answers there were %d questions, want %d", c.ttl, c.size, server.count, c.asks)
		}
	}
	// Three in a row fail: nobody else is asked, until a probe is answered. Only the first may count against its event.
	server.count = 0
	one := ask(WithoutFail, time.Hour, 10)
	known, refused := `{"id":7,"of":"a&b"}`, `{"id":"400","of":"x"}`
	for i, c := range []struct {
		data string
		asks int
		want Outcome
	}{
		{known, 1, Done}, {refused, 2, PermanentFailure}, {refused, 3, PermanentFailure}, {refused, 4, PermanentFailure},
		{`{"id":"unknown","of":"x"}`, 5, Transient}, {known, 5, Done}, {`{"id":"unknown","of":"x"}`, 6, PostponedOutcome},
		{`{"id":"text","of":"x"}`, 7, PostponedOutcome}, {`{"id":"null","of":"x"}`, 7, PostponedOutcome}, {known, 7, Done},
	} {
		_, _, err := one(c.data)
		if outcome, _ := OutcomeOf(err); server.count != c.asks || outcome != c.want {
			t.Errorf("%d: of %s it is said %v (%s), after %d questions, want %s after %d", i, c.data, err, outcome, server.count, c.want, c.asks)
		}
	}
	// That there is nothing is not remembered for long, nor for who comes again.
	now := time.Now()
	a := newAnswers(time.Hour, 10)
	a.put("nothing", nil, now)
	a.put("something", []byte("1"), now)
	for question, until := range map[string]time.Duration{"nothing": nothingTTL, "something": time.Hour} {
		_, before := a.get(question, now.Add(until-1))
		if _, behind := a.get(question, now.Add(until)); !before || behind {
			t.Errorf("%s is remembered before %s: %t, from then on: %t", question, until, before, behind)
		}
	}
	for _, c := range []struct {
		data string
		e    Event
		asks int
	}{
		{known, Event{}, 1}, {known, Event{Tried: true}, 1}, {known, Event{Redrive: true}, 2},
		{`{"id":"404","of":"x"}`, Event{}, 1}, {`{"id":"404","of":"x"}`, Event{Tried: true}, 2}, {`{"id":"404","of":"x"}`, Event{Redrive: true}, 2},
	} {
		server.count = 0
		one := ask(WithoutContinue, time.Hour, 10)
		_, _, _ = one(c.data)
		if _, _, _ = one(c.data, c.e); server.count != c.asks {
			t.Errorf("for %s, tried %t, redriven %t: there are %d questions, want %d", c.data, c.e.Tried, c.e.Redrive, server.count, c.asks)
		}
	}
}
