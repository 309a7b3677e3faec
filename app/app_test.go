package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/sagas"
)

// purse is an aggregate with two commands, and pay a unit across two of them.
type purse struct{ Balance int64 }

type purseEvent interface{ Evolve(purse) purse }

type filled struct{ Amount int64 }

func (e filled) Evolve(p purse) purse { p.Balance += e.Amount; return p }

type taken struct{ Amount int64 }

func (e taken) Evolve(p purse) purse { p.Balance -= e.Amount; return p }

type fill struct {
	ID     string    `json:"id" app:"id"`
	At     time.Time `json:"at" app:"time"`
	Amount int64     `json:"amount"`
}

func (c fill) Decide(purse) ([]purseEvent, error) { return []purseEvent{filled{c.Amount}}, nil }

var errEmpty = errors.New("the purse has less in it")

type pay struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Amount int64  `json:"amount"`
}

func purses() app.Module {
	all := app.NewAggregate[purse, purseEvent]("purse", "/v1/purses").
		Events(app.Event[filled]("PurseFilled", 1), app.Event[taken]("PurseTaken", 1)).
		Commands(app.Create[fill]("fill"))
	return app.Module{
		Name:       "purses",
		Aggregates: []app.Aggregate{all},
		Units: []app.Unit{app.Across("pay", "/v1/payments", func(tx *app.Tx, c pay) error {
			if from, _ := all.Get(tx, c.From); from.Balance < c.Amount {
				return errEmpty
			}
			all.Put(tx, c.From, taken{c.Amount})
			all.Put(tx, c.To, filled{c.Amount})
			return nil
		})},
	}
}

func TestCommandsOnAnyStore(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	defer store.Close(t.Context())
	c, err := app.NewCommands(app.App{Name: "wallet", Modules: []app.Module{purses()}}, store, app.CommandsConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name, id string
		command  any
		want     error
	}{
		{"purse.fill", "ann", fill{Amount: 5}, nil},
		{"pay", "", pay{"ann", "ben", 3}, nil},
		{"pay", "", pay{"ann", "ben", 3}, errEmpty},
		{"pay", "", fill{}, eventstore.ErrInvalid},
		{"purse.fill", "ann", pay{}, eventstore.ErrInvalid},
		{"purse.burn", "ann", fill{}, eventstore.ErrInvalid},
		{"sack.fill", "ann", fill{}, eventstore.ErrInvalid},
	} {
		if _, err := c.Do(t.Context(), step.name, step.id, step.command, commands.Options{}); !errors.Is(err, step.want) {
			t.Errorf("%s %+v: %v, want %v", step.name, step.command, err, step.want)
		}
	}
	for stream, want := range map[string]purse{"purse-ann": {2}, "purse-ben": {3}, "purse-cid": {}} {
		if state, _, err := c.State(t.Context(), stream, commands.Moment{}); err != nil || state != want {
			t.Errorf("state of %s = %+v, %v; want %+v", stream, state, err, want)
		}
	}
}

// The answers of rows and lists have the columns, though their Go type is a map.
func TestTheDocumentHasTheColumns(t *testing.T) {
	t.Parallel()
	type row struct {
		Balance int64
		At      *time.Time
	}
	m, balances := purses(), projections.NewFold[string, row](projections.Table{Name: "balances", Version: 1})
	projections.Upsert(balances, projections.ByID, func(r *row, e filled, _ projections.Recorded) error { r.Balance += e.Amount; return nil })
	m.Projections = []projections.Projection{balances}
	m.Reads = []app.Read{app.Row("/v1/purses/{id}", balances), app.List("/v1/purses", balances, app.ListOptions{})}
	text, err := app.App{Name: "wallet", Modules: []app.Module{m}}.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Type       any
		Items      *schema
		Properties map[string]schema
	}
	var document struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct{ Schema schema }
			}
		}
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	answer := func(path string) schema {
		return document.Paths[path]["get"].Responses["200"].Content["application/json"].Schema
	}
	for _, got := range []schema{answer("/v1/purses/{id}"), *answer("/v1/purses").Properties["items"].Items} {
		columns := fmt.Sprintf("id %v, balance %v, at %v", got.Properties["id"].Type, got.Properties["balance"].Type, got.Properties["at"].Type)
		if want := "id string, balance integer, at [string null]"; columns != want || len(got.Properties) != 3 {
			t.Errorf("schema = %+v, want %s", got, want)
		}
	}
	if _, err := (app.App{}).OpenAPI(); err == nil {
		t.Error("an App without a name has a document")
	}
}

// stray is an event of a purse that is not among those of the interface.
type stray struct{}

func (stray) Evolve(p purse) purse { return p }

type strayToo interface {
	Evolve(purse) purse
	Marked()
}

type unnamed struct{ Amount int64 }

func (unnamed) Decide(purse) ([]purseEvent, error) { return nil, nil }

type secret struct {
	who string `app:"actor"`
}

func (c secret) Decide(purse) ([]purseEvent, error) { return nil, errors.New(c.who) }

// TestAPathMayHaveAPatternForTheID, and a category a dot.
func TestAPathMayHaveAPatternForTheID(t *testing.T) {
	t.Parallel()
	all := app.NewAggregate[purse, purseEvent]("old.purse", "/v1/old/{name:[a-z]+}").
		Events(app.Event[filled]("PurseFilled", 1)).Commands(app.Do[fill]("fill"))
	s, err := app.InMemory(app.App{Name: "wallet", Modules: []app.Module{{Name: "purses", Aggregates: []app.Aggregate{all}}}}, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/v1/old/ann/fill", strings.NewReader(`{"amount":5}`))
	r.Header.Set("Content-Type", "application/json")
	s.API.ServeHTTP(w, r)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"stream":"old.purse-ann"`) {
		t.Errorf("POST /v1/old/ann/fill = %d %s", w.Code, w.Body)
	}
	if _, err := s.Do(t.Context(), "old.purse.fill", "ann", fill{Amount: 1}, commands.Options{}); err != nil {
		t.Error(err)
	}
	if state, _, err := s.Commands.State(t.Context(), "old.purse-ann", commands.Moment{}); err != nil || state != (purse{6}) {
		t.Errorf("the state is %+v, %v", state, err)
	}
	if _, err := s.Do(t.Context(), "old.purse.fill", "", fill{}, commands.Options{}); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("without an id: %v, want an invalid command", err)
	}
}

// TestOnlySomeModules: a module runs beside others, though it uses what they describe.
func TestOnlySomeModules(t *testing.T) {
	t.Parallel()
	described := purses()
	units := app.Module{Name: "payments", Units: described.Units}
	described.Units = nil
	a := app.App{Name: "wallet", Modules: []app.Module{described, units}}
	s, err := app.InMemory(a, app.Options{Only: []string{"payments"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"/v1/purses", `{"id":"ann","amount":5}`, 404},
		{"/v1/payments", `{"from":"ann","to":"ben","amount":0}`, 200},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", c.path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/json")
		if s.API.ServeHTTP(w, r); w.Code != c.status {
			t.Errorf("POST %s = %d %s, want %d", c.path, w.Code, w.Body, c.status)
		}
	}
	for _, o := range []app.Options{{Only: []string{"loans"}}, {Roles: []string{"projection"}}} {
		if _, err := app.InMemory(a, o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

type balanceRow struct {
	Owner  string
	Amount int64
	Seal   []byte
	Tags   map[string]string
}

type total struct{ Sum int64 }

func newBalances(version int) *projections.Fold[string, balanceRow] {
	f := projections.NewFold[string, balanceRow](projections.Table{Name: "balances", Version: version, Indexes: []projections.Index{
		{Columns: []string{"owner"}}, {Columns: []string{"owner", "amount"}},
	}})
	projections.Upsert(f, projections.ByID, func(b *balanceRow, e filled, _ projections.Recorded) error { b.Amount += e.Amount; return nil })
	return f
}

func TestMistakesAreFoundWithoutADatabase(t *testing.T) {
	t.Parallel()
	counts := projections.NewFold[string, struct{ N int64 }](projections.Table{Name: "counts", Version: 1})
	projections.Upsert(counts, projections.ByID, func(*struct{ N int64 }, stray, projections.Recorded) error { return nil })
	with := func(change func(*app.App, *app.Module)) app.App {
		a, m := app.App{Name: "wallet"}, purses()
		change(&a, &m)
		a.Modules = append(a.Modules, m)
		return a
	}
	balances := newBalances(1)
	reads := func(read app.Read) app.App {
		return with(func(_ *app.App, m *app.Module) {
			m.Projections, m.Reads = []projections.Projection{balances}, []app.Read{read}
		})
	}
	sum := func(path, sql string, params ...string) app.Read {
		return app.SQL[total](path, sql, app.SQLOptions{Params: params})
	}
	watch := delivery.Handle("watch", func(context.Context, filled, delivery.Event) error { return nil })
	subscribes := func(d delivery.Definition, h *delivery.Handler) app.App {
		return with(func(_ *app.App, m *app.Module) {
			m.Subscriptions = []delivery.Subscription{{Definition: d, Handler: h}}
		})
	}
	runs := func(c sagas.Command) app.App {
		return with(func(_ *app.App, m *app.Module) {
			m.Sagas = []*sagas.Saga{sagas.Define("run", 1, func(s *sagas.Steps[struct{}]) {
				s.Command("divide", func(struct{}) sagas.Command { panic("by zero") })
				s.Each("runs", func(struct{}) int { return 0 }, func(s *sagas.Steps[struct{}], _ int) {
					s.Command("run", func(struct{}) sagas.Command { return c })
				}, sagas.Items{})
			})}
		})
	}
	for _, c := range []struct {
		app  app.App
		want string
	}{
		{with(func(*app.App, *app.Module) {}), ""},
		{with(func(a *app.App, _ *app.Module) { a.Name = "Wallet 2" }), `the name "Wallet 2" of the App`},
		{with(func(a *app.App, m *app.Module) { a.Modules = []app.Module{*m} }), `a module is called "purses", as another one is`},
		{with(func(_ *app.App, m *app.Module) { m.Aggregates = append(m.Aggregates, m.Aggregates[0]) }), `two aggregates have the category "purse"`},
		{with(func(_ *app.App, m *app.Module) {
			m.Aggregates = []app.Aggregate{app.NewAggregate[purse, strayToo]("purse", "/v1/purses").Events(app.Event[stray]("Stray", 1))}
		}), "app_test.stray is not one of its events"},
		{with(func(_ *app.App, m *app.Module) {
			m.Aggregates = []app.Aggregate{app.NewAggregate[purse, purseEvent]("purse", "/v1/purses").
				Events(app.Event[stray]("Stray", 1)).Commands(app.Do[unnamed]("spend"))}
		}), "field Amount has no name in JSON"},
		{with(func(_ *app.App, m *app.Module) {
			m.Reads = []app.Read{app.List("/v1/counts", counts, app.ListOptions{Filters: []string{"colour"}})}
		}), `"colour" is no column of counts`},
		{reads(app.Row("/v1/balances", balances)), "read /v1/balances: the path must have one variable, at its end"},
		{reads(app.Row("/v1/{kind}/balances/{id}", balances)), "must have one variable, at its end"},
		{reads(app.Row("/v1/balances/{id}/now", balances)), "must have one variable, at its end"},
		{reads(app.Row("/v1/balances/{id:[a-z]{3}}", balances)), ""},
		{reads(app.Row("/v1/counts/{id}", counts)), `no module has the projection "counts"`},
		{reads(app.Row("/v1/balances/{id}", newBalances(2))), `version 2 of projection "balances", and its module has version 1`},
		{reads(app.List("/v1/counts", counts, app.ListOptions{})), `no module has the projection "counts"`},
		{reads(app.List("/v1/balances", balances, app.ListOptions{Filters: []string{"owner"}, OrderBy: "amount"})),
			"read /v1/balances: a request without filters: invalid query: no index serves it: add one on (amount)"},
		{reads(app.List("/v1/balances", balances, app.ListOptions{Filters: []string{"owner", "amount"}})),
			"a request with amount: invalid query: no index serves it: add one on (amount)"},
		{reads(app.List("/v1/balances/{amount}", balances, app.ListOptions{OrderBy: "owner"})), "add one on (amount, owner)"},
		{reads(app.List("/v1/balances", balances, app.ListOptions{Filters: []string{"owner"}})), ""},
		{reads(app.List("/v1/owners/{owner}", balances, app.ListOptions{OrderBy: "amount"})), ""},
		{reads(app.List("/v1/balances", balances, app.ListOptions{Filters: []string{"tags"}})), "tags is jsonb"},
		{reads(app.List("/v1/balances", balances, app.ListOptions{Filters: []string{"seal"}})), "seal is bytes"},
		{reads(app.List("/v1/balances", balances, app.ListOptions{OrderBy: "seal"})), "seal can be NULL"},
		{reads(app.List("/v1/balances", balances, app.ListOptions{Filters: []string{"limit"}})), `the parameter "limit" means something else in reads`},
		{reads(app.List("/v1/owners/{owner}", balances, app.ListOptions{Filters: []string{"owner"}})), `the parameter "owner" is there twice`},
		{reads(sum("/v1/sums", `SELECT sum(amount) AS sum FROM {balances} WHERE owner = $1 AND id <> $2`, "owner")), "the statement has $2, and 1 parameters have names"},
		{reads(sum("/v1/sums", `SELECT sum(amount) AS sum FROM {balances} WHERE '$1' <> "$1" AND a$1 > 0 -- $1`, "owner")),
			"read /v1/sums: invalid query: the statement has no $1, which is to be owner"},
		{reads(sum("/v1/sums/{owner}", `SELECT sum(amount) AS sum FROM {balances}`)), "{owner} in the path is not among Params"},
		{reads(sum("/v1/sums/{owner}", `SELECT sum(amount) AS sum FROM {balances} WHERE owner=$1 /* $2 */ AND E'\'$2' <> $$ $2 $$`, "owner")), ""},
		{reads(sum("/v1/sums", `SELECT $1`, "owner")), "the statement names no projection"},
		{reads(sum("/v1/sums", `SELECT count(*) AS sum FROM {counts}`)), `no module has the projection "counts"`},
		{reads(sum("/v1/sums", `SELECT sum(amount) AS sum FROM {balances} WHERE owner = $1`, "as_of")), `the parameter "as_of" means something else`},
		{reads(app.SQL[total]("/v1/sums", `SELECT sum(amount) AS sum FROM {balances}`, app.SQLOptions{OrderBy: []string{"owner"}})),
			`app_test.total has no field for the column "owner"`},
		{with(func(_ *app.App, m *app.Module) { m.Projections = []projections.Projection{counts} }), "counts"},
		{with(func(_ *app.App, m *app.Module) {
			m.Units = append(m.Units, app.Across("repay", "/v1/payments", func(*app.Tx, pay) error { return nil }))
		}),
			"route POST /v1/payments is registered twice"},
		{with(func(_ *app.App, m *app.Module) { m.Aggregates = append(m.Aggregates, nil) }), "an aggregate of a module is nil"},
		{with(func(_ *app.App, m *app.Module) {
			m.Projections = []projections.Projection{(*projections.Fold[string, purse])(nil)}
		}), "is nil"},
		{with(func(_ *app.App, m *app.Module) {
			m.Units = []app.Unit{app.Across("give", "/v1/purses/{id}/give", func(*app.Tx, pay) error { return nil })}
		}), "must have no variables"},
		{subscribes(delivery.Definition{}, watch), ""},
		{runs(sagas.Command{Name: "purse.fill", Command: fill{}}), ""},
		{runs(sagas.Command{Name: "purse.fill", Command: &fill{}}), `app: saga "run": step "run": command purse.fill is a app_test.fill, not a *app_test.fill`},
		{runs(sagas.Command{Name: "purse.full", Command: fill{}}), `step "run" runs "purse.full", which is no command of the App: there are pay and purse.fill`},
		{subscribes(delivery.Definition{Filter: json.RawMessage(`{"type":["PurseFilled"],"data":{"amount":[7]}}`)}, watch), ""},
		{subscribes(delivery.Definition{Filter: json.RawMessage(`{"data":{"amount":[7]}}`)}, watch),
			`subscription "watch": its filter must name the types of events that its handler takes, as {"type":["PurseFilled"]} does`},
		{subscribes(delivery.Definition{Filter: json.RawMessage(`{"type":["PurseFiled"]}`)}, watch), `takes no event of type "PurseFiled"`},
		{subscribes(delivery.Definition{Partitions: 3}, watch), "/partitions must be a power of two, it is 3"},
		{subscribes(delivery.Definition{Target: delivery.TargetConfig{Handler: &delivery.HandlerTarget{Name: "w"}}}, watch), `the program has no handler "w"`},
		{subscribes(delivery.Definition{Target: delivery.TargetConfig{Append: &delivery.AppendTarget{Stream: "s"}}}, watch), `its handler "watch" gets nothing`},
		{subscribes(delivery.Definition{}, delivery.Handle("stray", func(context.Context, stray, delivery.Event) error { return nil })),
			`handler "stray": app_test.stray is no event of the program: add app.Event[app_test.stray]("App_testStray", 1) to the Events of its aggregate, ` +
				`or eventstore.TypeOf of it to a codec of your own.`},
		{with(func(_ *app.App, m *app.Module) {
			m.Subscriptions = []delivery.Subscription{{Handler: watch}, {Handler: watch}}
		}), `subscription "watch": there are two of that name`},
		{with(func(_ *app.App, m *app.Module) {
			m.Aggregates = []app.Aggregate{app.NewAggregate[purse, purseEvent]("purse", "/v1/purses").
				Events(app.Event[filled]("PurseFilled", 1)).Commands(app.Do[secret]("hide"))}
		}), `field who is tagged app:"actor", so it must be exported`},
	} {
		err := c.app.Check()
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error()+".", c.want) {
			t.Errorf("Check() = %v\nwant %q", err, c.want)
		}
	}
}
