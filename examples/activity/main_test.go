package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/examples/internal/readme"
)

func TestMain(m *testing.M) { apptest.Main(m) }

func TestReadme(t *testing.T) {
	t.Parallel()
	readme.Run(t, apptest.New(t, activity()), "README.md")
}

// TestUsers sign up and come back, or do not; all that is read and sent follows from what they did.
func TestUsers(t *testing.T) {
	t.Parallel()
	x := apptest.New(t, activity())
	monday := time.Date(2026, 3, 2, 23, 0, 0, 0, time.UTC)
	at := func(days int) time.Time { return monday.AddDate(0, 0, days) }
	for _, step := range []struct {
		name, id string
		command  any
	}{
		{"user.sign-up", "ann", SignUp{Name: "Ann", Email: "ann@example.com", At: monday}},
		{"user.sign-up", "ben", SignUp{Name: "Ben", Email: "ben@example.com", At: monday}},
		{"user.log-in", "ann", LogIn{At: at(1)}},
		{"user.view", "ann", View{Page: "/prices/large", At: at(1)}},
		{"user.view", "ann", View{Page: "/about", At: at(1).Add(30 * time.Minute)}},
	} {
		if err := x.Do(step.name, step.id, step.command); err != nil {
			t.Fatal(err)
		}
	}
	deliver(t, x)
	x.Advance(7*24*time.Hour + time.Minute)
	deliver(t, x)
	for request, want := range map[string]string{
		"GET /v1/users/ann": `"did":"viewed /about","id":"ann","missed":false,"name":"Ann","views":2`,
		"GET /v1/users/ben": `"did":"signed up","id":"ben","missed":true`,
		"GET /v1/days": `{"items":[{"active_users":1,"day":"2026-03-03T00:00:00Z","log_ins":1,"sign_ups":0,"views":2},` +
			`{"active_users":2,"day":"2026-03-02T00:00:00Z","log_ins":0,"sign_ups":2,"views":0}]`,
	} {
		method, path, _ := strings.Cut(request, " ")
		if w := x.Request(method, path, ""); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s = %d %s, want %s", request, w.Code, w.Body, want)
		}
	}
	var sent []string
	for _, m := range x.Mails() {
		sent = append(sent, fmt.Sprintf("%s %s", m.To, m.Subject))
	}
	want := "<ann@example.com> Welcome, Ann\n<ben@example.com> Welcome, Ben\n<sales@example.com> Somebody looks at /prices/large\n<ben@example.com> We miss you, Ben"
	if got := strings.Join(sent, "\n"); got != want {
		t.Errorf("sent are\n%s\nwant\n%s", got, want)
	}
	if missed := x.Events("user-ben")[1].(Missed); time.Until(missed.At) < 6*24*time.Hour {
		t.Errorf("he was missed at %s, want a week after now", missed.At)
	}
}

func deliver(t *testing.T, x *apptest.Test) {
	t.Helper()
	if err := x.Deliver(); err != nil {
		t.Fatal(err)
	}
}
