package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
)

type note struct {
	At   time.Time  `json:"at" app:"time"`
	By   string     `json:"by" app:"actor"`
	Text string     `json:"text"`
	Due  *time.Time `json:"due"`
}

type noted struct {
	By string
	At time.Time
}

func (e noted) Evolve(p purse) purse { return p }

func (c note) Decide(purse) ([]purseEvent, error) { return []purseEvent{noted{c.By, c.At}}, nil }

// TestWhatAClientMayNotSay: who it is, a time that cannot be read again, and an id that the path does not take.
func TestWhatAClientMayNotSay(t *testing.T) {
	t.Parallel()
	all := app.NewAggregate[purse, purseEvent]("purse", "/v1/purses/{name:[a-z]+}").
		Events(app.Event[noted]("Noted", 1)).Commands(app.Do[note]("note"))
	wallet := app.App{Name: "wallet", Modules: []app.Module{{Name: "purses", Aggregates: []app.Aggregate{all}}}}
	x := apptest.New(t, wallet)
	if w := x.Request("POST", "/v1/purses/ann/note?dry_run=1", `{"by":"the boss"}`); w.Code != 200 || strings.Contains(w.Body.String(), "boss") {
		t.Errorf("a note of somebody who says to be another = %d %s", w.Code, w.Body)
	}
	for _, at := range []string{"0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"} {
		for member, pointer := range map[string]string{"at": `"/at"`, "due": `"/due"`} {
			w := x.Request("POST", "/v1/purses/ann/note", `{"`+member+`":"`+at+`"}`)
			if w.Code != 400 || !strings.Contains(w.Body.String(), pointer) {
				t.Errorf("%s %s = %d %s", member, at, w.Code, w.Body)
			}
		}
	}
	for id, want := range map[string]int{"ann": 200, "Ann": 400, "ann/x": 400, "ann/note?x=": 400} {
		w := x.Request("POST", "/v1/commands", `{"type":"purse.note","id":"`+id+`"}`)
		if w.Code != want || want != 200 && !strings.Contains(w.Body.String(), `"/id"`) {
			t.Errorf("the id %q = %d %s, want %d", id, w.Code, w.Body, want)
		}
	}
	wallet.OwnRoutesOnly = true
	if w := apptest.New(t, wallet).Request("POST", "/v1/commands", `{"type":"purse.note","id":"ann"}`); w.Code != 404 {
		t.Errorf("the shared route, which is not to be there = %d %s", w.Code, w.Body)
	}
	if w := apptest.New(t, wallet).Request("GET", "/v1/trace/1", ""); w.Code != 404 || strings.Contains(w.Body.String(), "event-not-found") {
		t.Errorf("the route to any event, which is not to be there = %d %s", w.Code, w.Body)
	}
}
