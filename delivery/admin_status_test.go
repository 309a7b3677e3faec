package delivery

import (
	"context"
	"fmt"
	"testing"
)

// TestTheLagOfAnIdlePartitionIsThatOfItsProcess: its cursor moves now and then, and it says again only what has changed.
func TestTheLagOfAnIdlePartitionIsThatOfItsProcess(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append("order-1")
	b.mustPut("mail", `{`+toHandler+`,"partitions":1,"filter":{"type":["Rare"]}}`)
	m := b.joined("p")
	own := b.taken(m, partitionKey{b.id("mail"), 0})[0]
	if err := b.tell(t.Context(), []told{{owned: own.owned, Report: &report{Idle: true, Read: 1}}}); err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE {schema}.subscription_partitions SET reported_at = now() - interval '1 hour'`)
	for range 4 {
		b.append("order-1")
	}
	lag := func(want int64) {
		t.Helper()
		if got := b.status("mail").LagEvents; got == nil || *got != want {
			t.Errorf("the lag is %v, want %d", got, want)
		}
	}
	for read := range int64(5) {
		if _, _, err := b.renew(t.Context(), m, 1+read); err != nil {
			t.Fatal(err)
		}
		lag(4 - read)
	}
	b.exec(`UPDATE {schema}.subscription_members SET expires_at = now()`)
	lag(4)
}

// TestAnEmptyLogHasAnEnd, at which partitions are like at any other.
func TestAnEmptyLogHasAnEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var got seen
	p := b.process("one", declare(from(AtBeginning, Handle("h", func(_ context.Context, _ placed, at Event) error { got.add(at); return nil }), nil)))
	b.eventually(func() error {
		st := p.Stats()
		if len(st.Subscriptions) != 1 || st.Subscriptions[0].Partitions != 4 || st.Subscriptions[0].Behind > 0 || st.Subscriptions[0].Lag != 0 {
			return fmt.Errorf("stats are %+v, want four partitions that are not behind", st.Subscriptions)
		}
		return nil
	})
	b.has(&got, b.events("order-1", placed{}))
}
