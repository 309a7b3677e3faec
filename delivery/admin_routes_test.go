package delivery

import (
	"fmt"
	"strings"
	"testing"

	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/eventstore"
)

// What is told of an event is what Explain says of each subscription, those first that its filter picks, page by page.
func TestRoutesAreWhatExplainSaysOfEach(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, a := t.Context(), b.admin()
	if _, err := b.store.Append(ctx, eventstore.StreamAppend{Stream: "order-1", Expected: eventstore.Any, Events: []eventstore.Event{
		{Type: "OrderPlaced", Data: []byte(`{"country":"NO","total":900}`)},
		{Type: "OrderPaid", Data: []byte(`{}`)},
	}}, eventstore.AppendOptions{}); err != nil {
		t.Fatal(err)
	}
	const begin = `"partitions":1,"start":"beginning"`
	b.mustPut("all", `{`+toHandler+`,`+begin+`}`)
	b.mustPut("customs", `{`+toHandler+`,`+begin+`,"filter":{"data":{"country":[{"anything-but":["DE"]}]}}}`)
	b.mustPut("dropping", `{`+toHandler+`,`+begin+`,"transform":{"jsonata":"data.none"}}`)
	b.mustPut("home", `{`+toHandler+`,`+begin+`,"filter":{"data":{"country":["DE"]}}}`)
	b.mustPut("large", `{`+toHandler+`,`+begin+`,"filter":{"data":{"total":[{"numeric":[">",1000]}]}}}`)
	b.mustPut("later", `{`+toHandler+`,"partitions":1,"filter":{"type":["OrderPlaced"]}}`)
	b.mustPut("paused", `{`+toHandler+`,`+begin+`,"paused":true}`)
	b.mustPut("pulled", `{"target":{"pull":{}},"start":"beginning"}`)
	b.mustPut("strange", `{`+toHandler+`,`+begin+`}`)
	b.exec(`UPDATE {schema}.subscriptions SET definition = jsonb_set(definition::jsonb, '{filter}', '{"data":{"a":[{"unheard-of":1}]}}')::text WHERE name = 'strange'`)
	// One that was judged by another definition.
	b.mustPut("judged", `{`+toHandler+`,`+begin+`,"filter":{"type":["OrderPlaced"]}}`)
	own := b.takeAll("judged")[0].owned
	if refused := b.moved(move{owned: own, From: 0, To: 2}); len(refused) > 0 {
		t.Fatal("refused")
	}
	b.exec(`UPDATE {schema}.subscription_members SET expires_at = now() - interval '1 hour'`)
	b.mustPut("judged", `{`+toHandler+`,"partitions":1,"filter":{"type":["OrderPaid"]}}`)

	all := func(q RoutesQuery) (found Routes, states string) {
		t.Helper()
		pages := 0
		for q.Limit = 4; pages == 0 || q.After != ""; pages++ {
			page, err := a.Routes(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			items := append(found.Items, page.Items...)
			found, q.After = page, page.Next
			found.Items = items
		}
		if pages != 3 {
			t.Errorf("%d pages, want 3", pages)
		}
		for _, r := range found.Items {
			states += fmt.Sprintf("%s %v %s %s\n", r.Subscription, r.Matches, r.State, r.Why)
		}
		return found, states
	}
	found, states := all(RoutesQuery{Position: 1})
	const want = `all true not-read no-member
customs true not-read no-member
dropping true dropped 
judged true delivered 
later true before-start 
paused true not-read paused
pulled true not-read nobody-asks
home false not-matched 
large false not-matched 
strange false not-known 
`
	if states != want || found.Matching != 7 || found.Subscriptions != 10 || found.Position != 1 {
		t.Errorf("%d of %d match at position %d:\n%s\nwant\n%s", found.Matching, found.Subscriptions, found.Position, states, want)
	}
	for _, r := range found.Items {
		if r.State == NotKnown {
			if !strings.Contains(r.Text, "unheard-of") {
				t.Errorf("%s: %s", r.Subscription, r.Text)
			}
			continue
		}
		x, err := a.Explain(ctx, r.Subscription, 1)
		if err != nil || x.State != r.State || x.Text != r.Text || (x.Clause == nil) != (r.Clause == nil) {
			t.Errorf("%+v; Explain says %s: %s, %v", r, x.State, x.Text, err)
		}
	}
	if byID, err := a.Routes(ctx, RoutesQuery{ID: *found.EventID}); err != nil || len(byID.Items) != 10 || byID.Next != "" || byID.Position != 1 {
		t.Errorf("by id: %+v, %v", byID, err)
	}
	if system, err := a.Routes(ctx, RoutesQuery{Event: &pattern.Event{Type: "$DeadLetter"}}); err != nil || system.Matching != 0 || !strings.Contains(system.Items[0].Text, "event of the store") {
		t.Errorf("an event of the store: %+v, %v", system, err)
	}
	if _, err := a.Routes(ctx, RoutesQuery{Position: 3}); !strings.Contains(fmt.Sprint(err), "the log ends at position 2, before 3") {
		t.Errorf("behind the end: %v", err)
	}

	// Of one that is not on the log it is said what would become of it.
	b.mustPut("dropping", `{`+toHandler+`,"partitions":1,"transform":{"jsonata":"data.country + 1"},"filter":null}`)
	other, err := pattern.ParseEvent([]byte(`{"type":"OrderPaid","data":{"country":"DE"}}`))
	if err != nil {
		t.Fatal(err)
	}
	found, states = all(RoutesQuery{Event: &other})
	const would = `all true matched no-member
dropping true dead 
home true matched no-member
judged true matched no-member
paused true matched paused
pulled true matched 
customs false not-matched 
large false not-matched 
later false not-matched 
strange false not-known 
`
	if states != would || found.EventID != nil {
		t.Errorf("of an event that is not on the log:\n%s\nwant\n%s", states, would)
	}
}
