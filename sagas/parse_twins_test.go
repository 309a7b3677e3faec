package sagas

import (
	"cmp"
	"context"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/57528e99/recount/delivery"
)

// exampleInGo is the definition in docs/sagas-yaml.md.
func exampleInGo() *Saga {
	return Define("checkout", 1, func(s *Steps[orderData]) {
		StartWith(s, func(e placed) (string, orderData) {
			return e.OrderID, orderData{Order: e.OrderID, Lines: e.Lines, Total: e.Total}
		})
		s.Each("reserve", func(d orderData) int { return len(d.Lines) }, func(s *Steps[orderData], i int) {
			s.Command("reserve-line", func(d orderData) Command {
				return Command{"stock.reserve", d.Lines[i].SKU, map[string]any{"order": d.Order, "quantity": d.Lines[i].Quantity}}
			}).Undo(func(d orderData) Command {
				return Command{"stock.release", d.Lines[i].SKU, map[string]any{"order": d.Order}}
			})
		}, Items{AtOnce: 2})
		s.Choose("size", When("large", func(d orderData) bool { return d.Total >= 1000 }, func(s *Steps[orderData]) {
			s.Ask("approval", func(context.Context, Call, *orderData) error { return nil }).Within(48 * time.Hour)
		}))
		s.Try("pay", func(s *Steps[orderData]) {
			s.Call("authorize", func(_ context.Context, c Call, d *orderData) error {
				d.Authorization = "authorization of " + d.Order + " by " + c.Key
				return nil
			}).Within(5 * time.Minute).Attempts(Attempts{Max: 5, First: time.Second, Longest: 30 * time.Second}).UndoCall(func(context.Context, Call, *orderData) error { return nil })
		}, On(func(s *Steps[orderData]) {
			Receive(s, "other-payment", func(e arrived) string { return e.OrderID }, func(d *orderData, e arrived) { d.Authorization = e.PaymentID }).Within(24 * time.Hour)
		}, "declined"))
		s.All("prepare", func(s *Steps[orderData]) {
			s.Call("label", func(_ context.Context, _ Call, d *orderData) error {
				d.Carrier = carrierOf(d.Order)
				return nil
			})
		}, func(s *Steps[orderData]) { s.Wait("pick", 15*time.Minute) })
		s.Choose("carrier", When("no carrier", func(d orderData) bool { return d.Carrier == "" }, func(s *Steps[orderData]) {
			s.Fail("no-carrier", "no_carrier", "nobody takes the parcel")
		}))
		s.Command("dispatch", func(d orderData) Command {
			return Command{"order.dispatch", d.Order, map[string]any{"carrier": d.Carrier, "urgent": false}}
		})
	})
}

// waysAsText has what the example has not.
const waysAsText = `{
	"saga": "ways", "version": 3, "before_start": "drop",
	"cancel": {"event": "OrderCalledOff", "id": {"join": ["o-", {"from": "/order_id"}]}, "reason": {"from": "/why"}},
	"start": {"event": "OrderPlaced", "id": {"join": ["o-", {"from": "/order_id"}]}},
	"steps": [
		{"step": "called-off", "on_undo": {"command": "stock.release", "id": "all", "body": {"why": {"from": "/$failure/code"}}}},
		{"step": "parcels", "each": {"from": "/lines"}, "as": "parcel", "tolerated": 1, "steps": [
			{"step": "again", "each": {"from": "/lines"}, "steps": [
				{"step": "pack", "command": "stock.reserve", "id": {"join": [{"from": "/parcel/sku"}, "-", {"from": "/item/quantity"}]}, "body": [{"from": "/item"}]}
			]}
		]},
		{"step": "two-of", "quorum": 2, "ways": [
			{"steps": [{"step": "first", "call": "f", "undo": {"command": "stock.release", "id": "1"}}]},
			{"steps": [{"step": "second", "receive": "PaymentArrived", "id": {"from": "/order_id"}, "take": {"paid": {"from": "/payment_id"}}}]},
			{"steps": [{"step": "third", "wait": {"from": "/order_id"}}]}
		]},
		{"step": "one-of", "any": [
			{"steps": [{"step": "person", "ask": null, "attempts": {"max": 3}}]},
			{"steps": [{"step": "time", "wait": "1h30m"}]}
		]},
		{"step": "last", "try": [{"step": "end", "call": "f"}], "catch": [
			{"codes": ["declined", "deadline"], "steps": []},
			{"steps": [{"step": "give-up", "fail": "given_up"}]}
		]},
		{"step": "tell", "http": {"url": "https://example.com/orders?of=us", "method": "PUT", "timeout": "2s", "secret": {"env": "RECOUNT_SECRET_TELL"}},
			"with": {"order": {"from": "/order_id"}}, "take": {"told": {"from": "/id"}}, "within": "1h",
			"undo": {"http": {"url": "https://example.com/orders/forget", "headers": {"X-Of": "us"}, "auth": {"api_key": {"header": "X-Api", "value": {"env": "RECOUNT_SECRET_FORGET"}}}}}}
	]}`

func waysInGo() *Saga {
	type all = map[string]any
	call := func(context.Context, Call, *all) error { return nil }
	list := func(d all) []any { l, _ := d["lines"].([]any); return l }
	return Define("ways", 3, func(s *Steps[all]) {
		s.BeforeStart(Drop)
		StartWith(s, func(e placed) (string, all) {
			return "o-" + e.OrderID, all{"order_id": e.OrderID, "lines": e.Lines, "total": e.Total}
		})
		CancelWith(s, func(e calledOff) (string, string) { return "o-" + e.OrderID, e.Why })
		s.OnUndo("called-off", func(d all) Command {
			return Command{"stock.release", "all", all{"why": d[failureMember].(all)["code"]}}
		})
		s.Each("parcels", func(d all) int { return len(list(d)) }, func(s *Steps[all], i int) {
			s.Each("again", func(d all) int { return len(list(d)) }, func(s *Steps[all], j int) {
				s.Command("pack", func(d all) Command {
					item := list(d)[j].(map[string]any)
					quantity, _ := json.Marshal(item["quantity"])
					return Command{"stock.reserve", list(d)[i].(map[string]any)["sku"].(string) + "-" + string(quantity), []any{item}}
				})
			}, Items{})
		}, Items{Tolerated: 1})
		s.Quorum("two-of", 2, func(s *Steps[all]) {
			s.Call("first", call).Undo(func(all) Command { return Command{"stock.release", "1", all{}} })
		}, func(s *Steps[all]) {
			Receive(s, "second", func(e arrived) string { return e.OrderID }, func(d *all, e arrived) { (*d)["paid"] = e.PaymentID })
		}, func(s *Steps[all]) {
			s.WaitUntil("third", func(now time.Time, d all) time.Time {
				wait, _ := time.ParseDuration(d["order_id"].(string))
				return now.Add(wait)
			})
		})
		s.Any("one-of", func(s *Steps[all]) { s.Ask("person", nil).Attempts(Attempts{Max: 3}) }, func(s *Steps[all]) { s.Wait("time", 90*time.Minute) })
		s.Try("last", func(s *Steps[all]) { s.Call("end", call) },
			On(func(*Steps[all]) {}, "declined", "deadline"), On(func(s *Steps[all]) { s.Fail("give-up", "given_up", "") }))
		s.HTTP("tell", Request{
			HTTPTarget: delivery.HTTPTarget{URL: "https://example.com/orders?of=us", Method: "PUT", Timeout: delivery.Duration(2 * time.Second)},
			Secret:     &delivery.Secret{Env: "RECOUNT_SECRET_TELL"},
		}, func(d all) any { return all{"order": d["order_id"]} }, func(d *all, answer json.RawMessage) error {
			var told struct{ ID string }
			err := json.Unmarshal(answer, &told)
			(*d)["told"] = told.ID
			return err
		}).Within(time.Hour).UndoHTTP(Request{HTTPTarget: delivery.HTTPTarget{
			URL: "https://example.com/orders/forget", Headers: map[string]delivery.Secret{"X-Of": {Value: "us"}},
			Auth: &delivery.HTTPAuth{APIKey: &delivery.APIKeyAuth{Header: "X-Api", Value: delivery.Secret{Env: "RECOUNT_SECRET_FORGET"}}},
		}}, func(d all) any { return d })
	})
}

// bind returns a definition as an Engine runs it.
func bind(t testing.TB, s *Saga) *Saga {
	e, err := NewEngine(Config{Codec: testCodec(t), Sagas: []*Saga{s}})
	if err != nil {
		t.Fatal(err)
	}
	return e.sagas[s.name][0]
}

// TestTextIsTheSameAsGo: a definition as text and the one in Go that says the same decide the same whatever comes.
func TestTextIsTheSameAsGo(t *testing.T) {
	r := testRegistry(t)
	r.Functions["f"] = r.Functions["payments.void"]
	for _, c := range []struct {
		text   []byte
		inGo   *Saga
		orders []string
	}{
		{example(t), exampleInGo(), []string{"7", "xx"}},
		{[]byte(waysAsText), waysInGo(), []string{"1h", "15m"}},
	} {
		parsed, err := Parse(c.text, r)
		if err != nil {
			t.Fatal(err)
		}
		text, inGo := bind(t, parsed), bind(t, c.inGo)
		t.Run(text.Name(), rapid.MakeCheck(func(t *rapid.T) {
			event := placed{OrderID: rapid.SampledFrom(c.orders).Draw(t, "order"), Total: rapid.SampledFrom([]int{1, 1000}).Draw(t, "total"),
				Lines: []lineOf{{"a", 1}, {"b", 2}, {"c", 3}}[:rapid.IntRange(0, 3).Draw(t, "lines")]}
			sameTwins(t, text, inGo, event)
		}))
	}
}

func sameTwins(t *rapid.T, text, inGo *Saga, start placed) {
	same := func(what string, a, b any) {
		if x, y := asJSON(t, a), asJSON(t, b); x != y {
			t.Fatalf("%s: the text has\n%s\nGo has\n%s", what, x, y)
		}
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	inputs := func(event any) (Input, Input) {
		message := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		a, _, err := text.InputOf(event, message)
		b, _, err2 := inGo.InputOf(event, message)
		if cmp.Or(err, err2) != nil {
			t.Fatal(err, err2)
		}
		same("input", a, b)
		return a, b
	}
	var i Instance
	decide := func(in Input, inToo Input) {
		a, err := text.Decide(i, in, now)
		b, err2 := inGo.Decide(i, inToo, now)
		if (err == nil) != (err2 == nil) || !reflect.DeepEqual(a, b) && asJSON(t, a) != asJSON(t, b) {
			t.Fatalf("%T %+v: the text decides\n%s, %v\nGo decides\n%s, %v", in, in, asJSON(t, a), err, asJSON(t, b), err2)
		}
		for _, e := range a {
			i = e.Evolve(i)
		}
	}
	both := func(in Input) { decide(in, in) }
	if rapid.Bool().Draw(t, "early") {
		decide(inputs(arrived{start.OrderID, "paid early"}))
	}
	decide(inputs(start))
	for range rapid.IntRange(1, 30).Draw(t, "inputs") {
		now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 20, 60, 2000}).Draw(t, "minutes")) * time.Minute)
		var open []Step
		for _, s := range i.Steps {
			if s.Status == Open || s.Status == Undoing || s.Status == NotUndone || s.Status == Unknown {
				open = append(open, s)
			}
		}
		if len(open) == 0 || rapid.IntRange(0, 9).Draw(t, "tell") == 0 {
			if rapid.IntRange(0, 3).Draw(t, "cancel") == 0 && text.Name() == "ways" {
				decide(inputs(calledOff{start.OrderID, "no more"}))
			} else {
				decide(inputs(arrived{start.OrderID, "paid"}))
			}
			continue
		}
		step := rapid.SampledFrom(open).Draw(t, "step")
		a, b := text.find(step.Name), inGo.find(step.Name)
		do, doToo := a.action(step.Status == Undoing), b.action(step.Status == Undoing)
		same("kind of "+step.Name, []any{a.kind, a.within, a.attempts, do != nil}, []any{b.kind, b.within, b.attempts, doToo != nil})
		switch rapid.IntRange(0, 9).Draw(t, "what") {
		case 0:
			both(Fail{step.Name, step.Number, rapid.SampledFrom([]string{"declined", "other"}).Draw(t, "code"), "it is so", rapid.Bool().Draw(t, "unknown")})
		case 1:
			both(TimeUp{step.Name, step.Number})
		case 2:
			act := rapid.SampledFrom([]Act{Cancel, Skip, Retry, Terminate}).Draw(t, "act")
			both(Intervene{Intervened: Intervened{Act: act, Step: step.Name, Reason: "test"}})
		default:
			in, inToo := Complete{Step: step.Name, Number: step.Number}, Complete{Step: step.Name, Number: step.Number}
			switch {
			case do == nil || a.kind == kindAnswer:
			case do.command != nil:
				x, err := do.command(i.DataOf(step.Name))
				y, err2 := doToo.command(i.DataOf(step.Name))
				if cmp.Or(err, err2) != nil {
					t.Fatal(err, err2)
				}
				same("command of "+step.Name, x, y)
			case do.request != nil:
				x, err := do.request.body(i.DataOf(step.Name))
				y, err2 := doToo.request.body(i.DataOf(step.Name))
				if cmp.Or(err, err2) != nil {
					t.Fatal(err, err2)
				}
				d, _ := do.request.to.definition()
				e, _ := doToo.request.to.definition()
				same("request of "+step.Name, []any{d, a.about, x}, []any{e, b.about, y})
				in.Changes, _ = do.request.taken(i.DataOf(step.Name), json.RawMessage(`{"id":"5"}`))
				inToo.Changes, _ = doToo.request.taken(i.DataOf(step.Name), json.RawMessage(`{"id":"5"}`))
			default:
				x, err := do.call(t.Context(), Call{Key: "key"}, i.DataOf(step.Name))
				y, err2 := doToo.call(t.Context(), Call{Key: "key"}, i.DataOf(step.Name))
				if cmp.Or(err, err2) != nil {
					t.Fatal(err, err2)
				}
				in.Changes, inToo.Changes = x, y
			}
			decide(in, inToo)
		}
	}
}
