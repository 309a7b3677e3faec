package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/57528e99/recount/delivery/mail/inbox"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
)

// TestMailsComeThoughAServerIsKilled: each once, as the customer sees it, by templates of the operator's, and stock is restored once.
func TestMailsComeThoughAServerIsKilled(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	box, err := inbox.Start(inbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	templates := t.TempDir()
	if err := os.MkdirAll(filepath.Join(templates, "mails"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(templates, "mails", "order.txt"), []byte("Dear customer: {{.ID}} {{.Status}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func() (*process, string) {
		return startServe(t, db, "--mail-server", fmt.Sprintf("smtp://127.0.0.1:%d?tls=none", box.Server().Port), "--templates", templates)
	}
	send := func(url, path, body string) {
		t.Helper()
		if got := call(t, "POST", url+path, body); got.status/100 != 2 {
			t.Fatalf("POST %s = %d %s", path, got.status, got.body)
		}
	}

	server, url := serve()
	send(url, "/v1/stock/TEA-1/receive", `{"quantity":100}`)
	const orders = 20
	var want []string
	for i := range orders {
		id := fmt.Sprintf("o%d", i)
		send(url, "/v1/orders", `{"id":"`+id+`","email":"ann@example.com","country":"Norway","currency":"NOK","lines":[{"sku":"TEA-1","description":"Tea","quantity":2,"unit_price_minor":4500}]}`)
		send(url, "/v1/stock/TEA-1/reserve", `{"order_id":"`+id+`","quantity":2}`)
		send(url, "/v1/orders/"+id+"/cancel", `{"reason":"changed my mind"}`)
		want = append(want, "Dear customer: "+id+" placed", "Dear customer: "+id+" cancelled")
	}
	server.signal(t, syscall.SIGKILL)
	server.exit(t)
	// It is dead. Others would find out within 5 s.
	if _, err := db.Pool.Exec(t.Context(), `UPDATE recount.subscription_members SET expires_at = now()`); err != nil {
		t.Fatal(err)
	}
	server, url = serve()
	send(url, "/v1/orders", `{"id":"last","email":"ann@example.com","country":"Norway","currency":"NOK","lines":[{"sku":"TEA-1","description":"Tea","quantity":2,"unit_price_minor":4500}]}`)
	want = append(want, "Dear customer: last placed")
	slices.Sort(want)
	until(t, "all mails have come, each as one", func() bool {
		var got []string
		for _, m := range box.Mails() {
			got = append(got, strings.TrimSpace(m.Text))
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
	until(t, "all stock is available again", func() bool {
		got := call(t, "GET", url+"/v1/stock/TEA-1", "")
		return got.status == http.StatusOK && strings.Contains(got.body, `"on_hand":100,"reserved":0,`)
	})
	server.stopGently(t)
}
