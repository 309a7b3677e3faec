package delivery

import "testing"

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
