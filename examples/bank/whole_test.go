package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/examples/bank/accounts"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// serve returns the bank on a database of its own, and its address.
func serve(t *testing.T) (*app.Service, string) {
	t.Helper()
	db := logtest.New(t)
	s, err := app.Open(t.Context(), bank(), app.Options{DSN: db.DSN, MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.API)
	t.Cleanup(server.Close)
	return s, server.URL
}

// TestTheWholeBank, over HTTP, from commands to read models.
func TestTheWholeBank(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	token := ""
	// call sends a request, wants an answer that has a text, and keeps the token for the next read.
	call := func(method, path, body string, status int, want string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Forwarded-User", "tina")
		r.Header.Set("Idempotency-Key", fmt.Sprintf("%q", path+body))
		if method == http.MethodGet {
			r.Header = http.Header{"Consistency-Token": {token}, "Prefer": {"wait=9"}}
		} else {
			r.Header.Set("Content-Type", "application/json")
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != status || !strings.Contains(string(text), want) {
			t.Errorf("%s %s %s = %d %s, %v; want %d with %s", method, path, body, answer.StatusCode, text, err, status, want)
		}
		if next := answer.Header.Get("Consistency-Token"); next != "" && method != http.MethodGet {
			token = next
		}
	}
	const at = `"at":"2026-03-01T23:30:00-02:00"`
	call("POST", "/v1/accounts", `{"id":"ada","owner":"Ada","currency":"EUR"}`, 201, `"stream":"account-ada"`)
	call("POST", "/v1/accounts", `{"id":"ben","owner":"Ben","currency":"EUR"}`, 201, `"version":0`)
	call("POST", "/v1/accounts/ada/deposit", `{"amount_minor":1000,`+at+`}`, 200, `"version":1`)
	call("POST", "/v1/accounts/ada/withdraw", `{"amount_minor":100,`+at+`}`, 200, `"version":2`)
	call("POST", "/v1/accounts/ada/withdraw", `{"amount_minor":901}`, 409, "insufficient-funds")
	call("POST", "/v1/accounts/ada/settle", `{"month":"2026-03"}`, 404, "not-found")
	call("POST", "/v1/transfers", `{"from":"ada","to":"ben","amount_minor":600}`, 200, `"stream":"account-ben"`)
	call("POST", "/v1/transfers", `{"from":"ada","to":"ben","amount_minor":600}`, 200, `"version":3`) // the same again
	call("POST", "/v1/transfers", `{"from":"ada","to":"ben","amount_minor":301}`, 409, "insufficient-funds")
	call("POST", "/v1/transfers", `{"from":"ada","to":"bob","amount_minor":1}`, 404, "account-not-found")
	call("GET", "/v1/accounts/ada", "", 200, `"balance_minor":300`)
	call("GET", "/v1/accounts/bob", "", 404, "not-found")
	call("GET", "/v1/accounts?owner=Ben", "", 200, `"balance_minor":600,"currency":"EUR","id":"ben"`)
	call("GET", "/v1/accounts/ada/statement?limit=2", "", 200, `"amount_minor":-100,`)
	call("GET", "/v1/accounts/ben/statement", "", 200, `"kind":"received","other":"ada","version":1`)
	call("GET", "/v1/totals?currency=EUR", "", 200, `{"items":[{"day":"2026-03-02","currency":"EUR","in_minor":1000,"out_minor":100,"moves":2}]`)
	call("GET", "/v1/totals?currency=NOK", "", 200, `"items":[]`)

	if _, err := s.Do(t.Context(), "account.settle", "ben", accounts.Settle{Month: "2026-03", At: time.Now()}, commands.Options{}); err != nil {
		t.Error(err)
	}
	var received eventstore.RecordedEvent
	for e, err := range s.Log.ReadStream(t.Context(), "account-ben", eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == "MoneyReceived" {
			received = e
		}
	}
	var metadata struct{ Actor string }
	if err := json.Unmarshal(received.Metadata, &metadata); err != nil || metadata.Actor != "tina" {
		t.Errorf("metadata = %s, %v; want those of tina", received.Metadata, err)
	}
}
