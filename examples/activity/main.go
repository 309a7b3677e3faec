// Activity keeps what users do: that they sign up, log in and look at pages. It says who was active when, and writes to users.
//
//	go run ./examples/activity dev
package main

import (
	"embed"
	"encoding/json"
	"net/http"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/sagas"
)

func main() { cli.Main(activity()) }

// mails has the texts of the mails.
//
//go:embed mails
var mails embed.FS

// activity returns the service. user.go has the events, commands and read models.
func activity() app.App {
	users := app.NewAggregate[User, Event]("user", "/v1/users").
		Events(
			app.Event[SignedUp]("UserSignedUp", 1),
			app.Event[LoggedIn]("UserLoggedIn", 1),
			app.Event[Viewed]("PageViewed", 1),
			app.Event[Missed]("UserMissed", 1)).
		Commands(
			app.Create[SignUp]("sign-up"),
			app.Do[LogIn]("log-in"),
			app.Do[View]("view"),
			app.Do[Miss]("miss", app.Internal))
	last, days := newLast(), newDays()
	return app.App{Name: "activity", Version: "0.1.0", Short: "What users do, and who was active when", Modules: []app.Module{{
		Name:        "users",
		Aggregates:  []app.Aggregate{users},
		Sagas:       []*sagas.Saga{returning()},
		Projections: []projections.Projection{last, days},
		Templates:   mails,
		Subscriptions: []delivery.Subscription{
			mailing("welcome", `{"type":["UserSignedUp"]}`, "{{.data.email}}", "Welcome, {{.data.name}}"),
			mailing("come-back", `{"type":["UserMissed"]}`, "{{.data.email}}", "We miss you, {{.data.name}}"),
			// A filter picks the views that sales want to know of, by what is in them.
			mailing("interest", `{"type":["PageViewed"],"data":{"page":[{"prefix":"/prices"}]}}`, "sales@example.com", "Somebody looks at {{.data.page}}"),
		},
		Reads: []app.Read{
			app.Row("/v1/users/{id}", last),
			app.List("/v1/days", days, app.ListOptions{Desc: true}),
		},
		Problems: []httpapi.DomainProblem{
			app.Problem(ErrUnknown, http.StatusNotFound, "user-not-found", "There is no such user", "Sign up: POST /v1/users"),
			app.Problem(ErrExists, http.StatusConflict, "user-exists", "The user has signed up before", "Use another id, or none to be given one."),
		},
	}}}
}

// mailing sends a mail for each event that a filter picks, with the text in mails/NAME.txt.
func mailing(name, filter, to, subject string) delivery.Subscription {
	return delivery.Subscription{Definition: delivery.Definition{
		Name: name, Filter: json.RawMessage(filter),
		Target: delivery.TargetConfig{Email: &delivery.EmailTarget{
			From: "Activity <hello@example.com>", To: to, Template: delivery.MailTemplate{Subject: subject, Text: "mails/" + name + ".txt"},
		}},
	}}
}

// returning waits for who has signed up to log in. Who has not within a week is missed, which has a mail sent.
func returning() *sagas.Saga {
	return sagas.Define("returning", 1, func(s *sagas.Steps[SignedUp]) {
		sagas.StartWith(s, func(e SignedUp) (string, SignedUp) { return e.ID, e })
		s.Try("first-week", func(s *sagas.Steps[SignedUp]) {
			sagas.Receive(s, "log-in", func(e LoggedIn) string { return e.ID }, nil).Within(7 * 24 * time.Hour)
		}, sagas.On(func(s *sagas.Steps[SignedUp]) {
			s.Command("miss", func(e SignedUp) sagas.Command { return sagas.Command{Name: "user.miss", ID: e.ID, Command: Miss{}} })
		}, sagas.CodeDeadline))
	})
}
