package delivery

import (
	"testing"
	"time"
)

// TestThatNobodyPullsIsTold once, until somebody has pulled, and not of what is paused, has nothing, or takes alerts.
func TestThatNobodyPullsIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	for name, text := range map[string]string{
		"jobs":   `{"target":{"pull":{}},"start":"beginning","filter":null}`,
		"paused": `{"target":{"pull":{}},"start":"beginning","filter":null,"paused":true}`,
		"none":   `{"target":{"pull":{}},"start":"beginning","filter":{"type":["Never"]}}`,
		"alerts": `{"target":{"pull":{}},"start":"beginning","filter":{"type":["$NobodyPulls","Placed"]}}`,
	} {
		if _, err := b.put(name, text); err != nil {
			t.Fatal(err)
		}
	}
	p := b.newProcess("one", nil)
	told, turn := make(map[int64]bool), 0 // alerts wait for their turn
	look := func(want ...int64) {
		t.Helper()
		if err := p.alertUnpulled(t.Context(), told, 0); err != nil {
			t.Fatal(err)
		}
		turn++
		if err := p.alerts.tell(t.Context(), time.Now().Add(time.Duration(turn)*time.Minute)); err != nil {
			t.Fatal(err)
		}
		var at []int64
		all, events := alertsOf(t, b.store, "jobs")
		for i, a := range all {
			if at = append(at, a.FirstPosition); events[i].Type != TypeNobodyPulls || a.Error == "" {
				t.Errorf("told: %s %+v", events[i].Type, a)
			}
		}
		if len(at) != len(want) || len(at) > 0 && at[len(at)-1] != want[len(want)-1] {
			t.Fatalf("told of positions %v, want %v", at, want)
		}
		for _, other := range []string{"paused", "none", "alerts"} {
			if all, _ := alertsOf(t, b.store, other); len(all) > 0 {
				t.Errorf("of %s is told %+v", other, all)
			}
		}
	}
	look()
	first := b.events("order-1", placed{})
	look(first)
	look(first)

	// Who has asked within the time is somebody who pulls.
	b.exec(`UPDATE {schema}.subscriptions SET updated_at = updated_at - interval '2 hours'`)
	since := func(told map[int64]bool) int {
		t.Helper()
		if err := p.alertUnpulled(t.Context(), told, time.Hour); err != nil {
			t.Fatal(err)
		}
		return len(told)
	}
	if n := since(told); n != 1 {
		t.Errorf("%d are told of before anybody pulls", n)
	}
	if some, err := b.broker(func(c *BrokerConfig) { c.App = b.app }).Pull(t.Context(), "jobs", PullOptions{Max: 1}); err != nil || len(some) != 1 {
		t.Fatalf("pulled %v, %v", some, err)
	}
	if n := since(told); n != 0 {
		t.Errorf("%d are told of after somebody has pulled", n)
	}
	b.events("order-2", placed{})
	look(first, first) // which is leased
}
