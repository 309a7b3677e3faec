package app_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/commands"
)

// gift is a command over several purses that has an id of its own.
type gift struct {
	Number string   `json:"number" app:"id"`
	To     []string `json:"to"`
	Amount int64    `json:"amount"`
}

// TestAKeyIsForOneID of one command, by whichever door it comes, also where the id is in the body.
func TestAKeyIsForOneID(t *testing.T) {
	t.Parallel()
	m := purses()
	all := m.Aggregates[0].(*app.AggregateOf[purse, purseEvent])
	var decided string // the number of the last gift
	m.Units = append(m.Units, app.Across("gift", "/v1/gifts", func(tx *app.Tx, c gift) error {
		for _, to := range c.To {
			all.Put(tx, to, filled{c.Amount})
		}
		decided = c.Number
		return nil
	}))
	x := apptest.New(t, app.App{Name: "wallet", Modules: []app.Module{m}})
	// send sends a command by its own route, or by that of all if that is how the request begins.
	send := func(request string) (status int, id string, replayed bool) {
		t.Helper()
		path, body, _ := strings.Cut(request, " ")
		w := x.Request("POST", path, body, "Idempotency-Key: k")
		var answer struct{ ID string }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		return w.Code, answer.ID, w.Header().Get("Idempotency-Replayed") == "true"
	}
	for _, c := range []struct{ request, want string }{
		{`/v1/gifts {"number":"1","to":["ann","ben"],"amount":1}`, "200 1 false"},
		{`/v1/commands {"type":"gift","id":"1","data":{"to":["ann","ben"],"amount":1}}`, "200 1 true"},
		{`/v1/commands {"type":"gift","data":{"number":"1","to":["ann","ben"],"amount":1}}`, "200 1 true"},
		{`/v1/commands {"type":"gift","id":"1","data":{"to":["ann","ben"],"amount":2}}`, "422  false"},
		{`/v1/commands {"type":"gift","id":"2","data":{"to":["ann","ben"],"amount":2}}`, "200 2 false"},
		{`/v1/gifts {"to":["ann","ben"],"amount":2,"number":"2"}`, "200 2 true"},
		{`/v1/purses {"id":"cid","amount":1}`, "201 cid false"},
		{`/v1/commands {"type":"purse.fill","id":"cid","data":{"amount":1}}`, "201 cid true"},
		{`/v1/purses {"id":"cid","amount":2}`, "422  false"},
		{`/v1/purses {"id":"dan","amount":1}`, "201 dan false"},
		{`/v1/commands {"type":"purse.fill","id":"dan","data":{"amount":1}}`, "201 dan true"},
	} {
		status, id, replayed := send(c.request)
		if got := fmt.Sprint(status, " ", id, " ", replayed); got != c.want {
			t.Errorf("%s = %s, want %s", c.request, got, c.want)
		}
	}
	// An id that was made is told again.
	_, first, _ := send(`/v1/gifts {"to":["ann"],"amount":1}`)
	made := decided
	_, again, replayed := send(`/v1/commands {"type":"gift","data":{"to":["ann"],"amount":1}}`)
	if made == "" || first != made || again != made || !replayed {
		t.Errorf("the id that was made is %q; the answers have %q and %q", made, first, again)
	}
	key := commands.Options{Receipt: &commands.ReceiptRequest{Key: "k"}}
	if r, err := x.Service.API.Run(t.Context(), "gift", "1", []byte(`{"to":["ann","ben"],"amount":1}`), key); err != nil || !r.Replayed {
		t.Errorf("in Go the command is run again: %+v, %v", r, err)
	}
	if state, want := x.State("purse-ann"), (purse{4}); state != want {
		t.Errorf("the purse is %+v, want %+v", state, want)
	}
}
