package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/delivery"
)

// TestAShopThatLivesSurvivesAKill: it is killed while orders are at each end and between, goes on, and all adds up. Its orders are routed, enriched and
// counted meanwhile.
func TestAShopThatLivesSurvivesAKill(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	args := []string{"--data", dir, "--listen", "127.0.0.1:0", "--simulate", "30", "--log-level", "warn"}
	dev, _ := startDev(t, args...)
	var before map[string]int64
	until(t, "orders come to each end", func() bool {
		before = ordersOf(t, dir)
		return !slices.ContainsFunc([]string{"confirmed", "shipped", "completed", "cancelled"}, func(s string) bool { return before[s] == 0 })
	})
	_ = dev.cmd.Process.Kill()
	<-dev.ended

	dev, url := startDev(t, args...)
	until(t, "orders go on", func() bool {
		return ordersOf(t, dir)["completed"] > before["completed"]
	})
	until(t, "orders flow", func() bool { return flows(t, url) })
	dev.stopGently(t)
	dev.await(t, `simulate: \d+ orders in \d+s: `)
	dev, _ = startDev(t, "--data", dir, "--listen", "127.0.0.1:0", "--checkout", "orchestrated")
	judgeLog(t, dev)
	dev.stopGently(t)
}

// ordersOf has all verified of a running dev, and returns how many orders there are by status.
func ordersOf(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	data, said := newTranscript(), newTranscript()
	p := program(cli.Program{Stdout: data, Stderr: said, Getenv: func(string) string { return "" }})
	code := p.Run(t.Context(), []string{"verify", "-o", "json", "--data", dir})
	text, _ := data.read()
	problem, _ := said.read()
	var v app.Verification
	if err := json.Unmarshal([]byte(text), &v); err != nil || code != cli.ExitOK {
		t.Fatalf("recount verify: exit code %d, %v\n%s\n%s", code, err, problem, text)
	}
	orders := make(map[string]int64)
	for _, i := range v.Invariants {
		if i.Name == "orders" {
			for _, c := range i.Counts {
				orders[c.Of] = c.N
			}
		}
	}
	return orders
}

// flows reports whether all subscriptions of shop/flow.json have delivered something, and none of them has a dead letter.
func flows(t *testing.T, url string) bool {
	t.Helper()
	for _, name := range []string{"flow-large", "flow-abroad", "flow-picks", "analytics-minutes"} {
		var s delivery.Status
		if answer := call(t, http.MethodGet, url+"/v1/subscriptions/"+name, ""); answer.status != http.StatusOK || json.Unmarshal([]byte(answer.body), &s) != nil {
			t.Fatalf("%s: %d %s", name, answer.status, answer.body)
		}
		if s.Dead > 0 || s.Failure != nil {
			t.Fatalf("%s has %d dead letters and the failure %+v", name, s.Dead, s.Failure)
		}
		if !slices.ContainsFunc(s.Partitions, func(p delivery.PartitionStatus) bool { return p.Delivered > 0 }) {
			return false
		}
	}
	return true
}
