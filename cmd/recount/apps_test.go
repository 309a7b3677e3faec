package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/examples/bank/accounts"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/shop"
)

// party is the program of an App on a database, which has read models and snapshots of its own there.
type party struct {
	app app.App
	// projections, stream and schema are its own.
	projections, stream, schema string
	db                          *pgtest.DB
	// env is more of the environment.
	env map[string]string
}

// run runs a command and returns what it said.
func (p party) run(ctx context.Context, said *transcript, args ...string) (code int) {
	env := map[string]string{"RECOUNT_DATABASE": p.db.DSN, "RECOUNT_SCHEMA": p.schema, "RECOUNT_ADMIN": "off", "RECOUNT_MAX_CONNECTIONS": "8"}
	maps.Copy(env, p.env)
	prog := &cli.Program{App: p.app, Stdin: strings.NewReader(""), Stdout: said, Stderr: said, Getenv: func(name string) string { return env[name] }}
	return prog.Run(ctx, args)
}

// runs runs a command, wants it to end with a code and to say something, and returns all it said.
func (p party) runs(t *testing.T, command string, want int, parts ...string) string {
	t.Helper()
	said := newTranscript()
	code := p.run(t.Context(), said, strings.Fields(command)...)
	text, _ := said.read()
	if code != want {
		t.Errorf("%s %s: exit code %d, want %d:\n%s", p.app.Name, command, code, want, text)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s %s does not say %q:\n%s", p.app.Name, command, part, text)
		}
	}
	return text
}

// serve serves while use uses it.
func (p party) serve(t *testing.T, use func(url string), flags ...string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said, ended := newTranscript(), make(chan struct{})
	code := 0
	go func() {
		defer close(ended)
		code = p.run(ctx, said, append([]string{"serve", "--listen", "127.0.0.1:0"}, flags...)...)
	}()
	use(said.await(t, `"url":"([^"]+)"`, ended)[1])
	stop()
	if <-ended; code != cli.ExitOK {
		text, _ := said.read()
		t.Errorf("%s serve: exit code %d:\n%s", p.app.Name, code, text)
	}
}

// TestHeadersSayWhoAsks a server that wants to know.
func TestHeadersSayWhoAsks(t *testing.T) {
	t.Parallel()
	a := app.App{Name: "bank", Modules: []app.Module{accounts.Module()}, Actor: func(r *http.Request) (string, error) {
		if user, secrets := r.Header.Get("X-User"), r.Header.Values("X-Secret"); user != "" && slices.Equal(secrets, []string{"a=b", "c d"}) {
			return user, nil
		}
		return "", errors.New("nobody knows you")
	}}
	bank := party{app: a, db: logtest.New(t)}
	bank.serve(t, func(url string) {
		const headers = " --header X-User=ann --header X-Secret=a=b"
		server := " --server " + url
		bank.runs(t, "commands ls"+server, cli.ExitAuth, "hint: Send the request with valid credentials. --header NAME=VALUE sends")
		bank.runs(t, "projections rebuild balances"+server+headers, cli.ExitAuth)
		bank.runs(t, "commands ls"+server+" --header X-User:ann", cli.ExitUsage, "must be NAME=VALUE")
		bank.runs(t, "projections ls --database x --header X-User=ann", cli.ExitUsage, "--header goes with --server")
		bank.env = map[string]string{"RECOUNT_SERVER": url, "RECOUNT_HEADER": "X-User=ann\nX-Secret=a=b\nX-Secret=c d\n"}
		bank.runs(t, `commands run account.open ada --data {"owner":"Ada","currency":"EUR"}`, cli.ExitOK, `"stream":"account-ada"`)
		bank.runs(t, "commands show account.open", cli.ExitOK)
		bank.runs(t, "projections rebuild balances"+server, cli.ExitOK)
		bank.runs(t, "projections show balances -o json"+server, cli.ExitOK, `"requested_by":"ann"`)
		bank.runs(t, "log tail -o json", cli.ExitOK, `"actor":"ann"`)
	})
	bank.runs(t, "commands ls --server http://127.0.0.1:1", cli.ExitUnavailable, "--server URL names another\n")
	bank.runs(t, "projections ls --server http://127.0.0.1:1", cli.ExitUnavailable, "works without\n")
}

// depositAndRead deposits 1 at the bank, and reads what the account has then.
func depositAndRead(t *testing.T, url, balance string) {
	t.Helper()
	done := call(t, "POST", url+"/v1/accounts/ada/deposit", `{"amount_minor":1}`)
	got := call(t, "GET", url+"/v1/accounts/ada", "", "Consistency-Token", done.header.Get("Consistency-Token"), "Prefer", "wait=10")
	if got.status != http.StatusOK || !strings.Contains(got.body, `"balance_minor":`+balance+`,`) {
		t.Errorf("deposit = %d %s, then GET = %d %s; want a balance of %s", done.status, done.body, got.status, got.body, balance)
	}
}

// shopProjections are all of the shop's.
var shopProjections = strings.Fields("orders stock_levels customer_history sales_by_country sales_by_sku snapshots_stock")

// TestTwoAppsOnOneDatabase: the shop and the bank, in one schema and in two, do not touch each other. In one
// the second is refused, and makes nothing there, until it joins on purpose.
func TestTwoAppsOnOneDatabase(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{"one schema": "", "two schemas": "ledger"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := logtest.New(t)
			bank := party{app.App{Name: "bank", Modules: []app.Module{accounts.Module()}}, "balances statements daily_totals", "account-ada", schema, db, nil}
			shop := party{shop.App(), "orders stock_levels customer_history", "stock-TEA", "", db, nil}
			bank.runs(t, "migrate up", cli.ExitOK)
			bank.serve(t, func(url string) {
				call(t, "POST", url+"/v1/accounts", `{"id":"ada","owner":"Ada","currency":"EUR"}`)
				depositAndRead(t, url, "1")
			})
			bank.runs(t, "snapshots rebuild --stream "+bank.stream, cli.ExitOK)
			// Nobody is there that the shop could disturb in a schema of its own.
			notThere, join := cli.ExitNotFound, []string(nil)
			if schema == "" {
				notThere, join = cli.ExitConflict, []string{"--adopt-log", "--migrate"}
				for _, command := range []string{
					"serve --listen 127.0.0.1:0", "serve --roles api --listen 127.0.0.1:0", "serve --migrate --listen 127.0.0.1:0",
					"dev --listen 127.0.0.1:0 --pg " + db.DSN,
					"migrate up", "migrate down --to 0 --yes", "migrate force 1 --yes", "db adopt --yes", "projections ls",
					"projections rebuild --all", "projections drop balances --yes", "snapshots rebuild", "snapshots ls", "snapshots purge --yes",
				} {
					shop.runs(t, command, cli.ExitConflict, `belongs to app "bank", this program is app "shop"`, "recount serve --adopt-log")
				}
			}
			shop.serve(t, func(url string) {
				placeAndRead(t, url, url, "1")
				call(t, "POST", url+"/v1/stock/TEA/receive", `{"quantity":1}`)
				for _, name := range strings.Fields(bank.projections) {
					if got := call(t, "DELETE", url+"/v1/projections/"+name, ""); got.status != http.StatusConflict && got.status != http.StatusNotFound {
						t.Errorf("DELETE of the bank's projection = %d %s", got.status, got.body)
					}
				}
			}, join...)

			for own, other := range map[*party]*party{&bank: &shop, &shop: &bank} {
				for _, command := range []string{"projections ls --all", "projections rebuild --all", "projections verify --all", "snapshots rebuild --stream " + own.stream, "snapshots ls"} {
					text := own.runs(t, command, cli.ExitOK)
					for _, name := range append(strings.Fields(other.projections), other.stream) {
						if strings.Contains(text, name) {
							t.Errorf("%s %s touches %s:\n%s", own.app.Name, command, name, text)
						}
					}
				}
				for _, name := range strings.Fields(other.projections) {
					own.runs(t, "projections drop "+name+" --yes", notThere)
					own.runs(t, "projections rebuild "+name, cli.ExitNotFound)
				}
				own.runs(t, "projections ls --all", cli.ExitOK, strings.Fields(own.projections)...)
				own.runs(t, "snapshots ls", cli.ExitOK, own.stream)
			}
			shop.runs(t, "snapshots purge --yes", cli.ExitOK, "removed")
			bank.runs(t, "snapshots ls", cli.ExitOK, bank.stream)
			bank.serve(t, func(url string) { depositAndRead(t, url, "2") })
			shop.serve(t, func(url string) { placeAndRead(t, url, url, "2") })
			if schema != "" {
				return
			}
			// The shop leaves, when none of its servers runs any more.
			shop.serve(t, func(string) {
				shop.runs(t, "db leave --yes", cli.ExitConflict, "it is in use: stop ")
			})
			shop.runs(t, "db leave", cli.ExitUsage, "this removes 6 projections and ", " of app shop ", "add --yes")
			shop.runs(t, "db leave --yes", cli.ExitOK, append(shopProjections, "subscription order-mails is removed", "app shop has left the log")...)
			shop.runs(t, "serve --listen 127.0.0.1:0", cli.ExitConflict, `belongs to app "bank", this program is app "shop"`)
			bank.serve(t, func(url string) { depositAndRead(t, url, "3") })
			var left string
			err := db.Pool.QueryRow(t.Context(), `
SELECT concat_ws(' ', (SELECT string_agg(name, ' ' ORDER BY name) FROM recount.apps), (SELECT count(*) FROM recount.projections),
                 (SELECT count(*) FROM recount.projection_generations WHERE projection NOT IN (SELECT name FROM recount.projections)),
                 (SELECT string_agg(DISTINCT coalesce(name, '?') || '/' || app, ' ') FROM recount.subscriptions))`).Scan(&left)
			if want := "bank 4 0 large-withdrawals/bank"; err != nil || left != want {
				t.Errorf("what is left is %q, %v; want %q, of the bank alone", left, err, want)
			}
			// It comes back as one that was never there.
			shop.serve(t, func(url string) { placeAndRead(t, url, url, "3") }, "--adopt-log")
		})
	}
}
