package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/57528e99/recount/delivery/internal/core"
)

// A process may have lost a partition, or not know that it took it, when it comes to be another's: that one waits until it
// is given back by who is alive and does not have it.
func TestWhatAProcessDoesNotKnowOfGoesToWhoIsToHaveIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var got seen
	handler := func() *Handler {
		return Handle("h", func(_ context.Context, _ placed, at Event) error { got.add(at); return nil })
	}
	for _, name := range []string{"one", "other"} {
		b.process(name, declare(from(AtBeginning, handler(), func(d *Definition) { d.Partitions = 16 })))
	}
	// shared reports whether there are two processes, and each partition is with the one that is to have it.
	shared := func() error {
		var members []core.Member
		for _, name := range []string{"one", "other"} {
			id := read[int64](b, `SELECT coalesce(max(id), 0) FROM {schema}.subscription_members WHERE process = $1`, name)
			if id == 0 {
				return fmt.Errorf("process %s has not joined", name)
			}
			members = append(members, core.Member{ID: id, CanRun: []string{"handler:h"}})
		}
		subscription := read[int64](b, `SELECT id FROM {schema}.subscriptions WHERE name = 'h'`)
		for n := range 16 {
			want, _ := core.Assign(members, "handler:h", subscription, n)
			if has := read[int64](b, `SELECT coalesce(max(member), 0) FROM {schema}.subscription_partitions WHERE partition = $1`, n); has != want {
				return fmt.Errorf("partition %d is with member %d and not with %d of %v", n, has, want, members)
			}
		}
		return nil
	}
	b.eventually(shared)
	b.exec(`UPDATE {schema}.subscription_partitions p SET epoch = nextval('{schema}.subscription_epochs'), member = one.id
		FROM {schema}.subscription_members one, {schema}.subscription_members other
		WHERE one.process = 'one' AND other.process = 'other' AND p.member = other.id`)
	var want []int64
	for i := range 32 {
		want = append(want, b.events(fmt.Sprintf("order-%d", i), placed{}))
	}
	b.eventually(func() error {
		delivered := map[int64]bool{}
		for _, p := range got.positions() {
			delivered[p] = true
		}
		if len(delivered) < len(want) {
			return fmt.Errorf("%d of %d events were delivered", len(delivered), len(want))
		}
		return shared()
	})
}

// In a log in which nothing happens the owner has no move to make, by which it would find out.
func TestAResetTakesEffectWhereNothingElseHappens(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var got seen
	first := b.events("order-1", placed{}, placed{}) - 1
	b.process("one", declare(from(AtBeginning, Handle("h", func(_ context.Context, _ placed, at Event) error { got.add(at); return nil }), nil)))
	b.has(&got, first, first+1)
	b.cursors("h", first+1, nil)
	admin := NewAdmin(b.pool, b.schema, b.store, "test")
	if _, err := admin.Reset(t.Context(), "h", ResetOptions{To: Start{At: AtBeginning}, Reason: "again", Actor: "me"}); err != nil {
		t.Fatal(err)
	}
	b.has(&got, first, first, first+1, first+1)
}

// TestASubscriptionIsHalvedThoughTheLogWasEmpty: its partitions have read nothing, and say how far they have read once they have.
func TestASubscriptionIsHalvedThoughTheLogWasEmpty(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var got seen
	p := b.process("one", declare(from(AtBeginning, Handle("h", func(_ context.Context, _ placed, at Event) error { got.add(at); return nil }), nil)))
	b.owned("h", map[string]int{"one": 4})
	d := b.status("h").Definition
	d.Partitions = 1
	if _, err := b.admin().Put(t.Context(), d, PutOptions{Actor: "me"}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // so that the keeper has looked
		renewed := read[string](b, `SELECT expires_at::text FROM {schema}.subscription_members`)
		p.heard.Store(true)
		p.look()
		b.eventually(func() error {
			if read[string](b, `SELECT expires_at::text FROM {schema}.subscription_members`) == renewed {
				return errors.New("the process did not renew")
			}
			return nil
		})
	}
	var want []int64
	for i := range 10 {
		want = append(want, b.events(fmt.Sprintf("order-%d", i), placed{}))
	}
	b.has(&got, want...)
	b.eventually(func() error {
		if n := read[int](b, `SELECT count(*) FROM {schema}.subscription_partitions`); n != 1 {
			return fmt.Errorf("there are %d partitions, want 1", n)
		}
		return nil
	})
	b.has(&got, append(want, b.events("order-1", placed{}))...)
}

// TestADefinitionThatNobodyCanReadHoldsUpItsOwnSubscription, and no other: a newer program may have written it.
func TestADefinitionThatNobodyCanReadHoldsUpItsOwnSubscription(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	b.mustPut("bad", `{`+toHandler+`,"start":"beginning"}`)
	b.exec(`UPDATE {schema}.subscriptions SET definition = '{"batch":"as we do it now"}'`)
	var got seen
	handler := func(name string) *Handler {
		return Handle(name, func(_ context.Context, _ placed, at Event) error { got.add(at); return nil })
	}
	b.process("one", func(c *Config) {
		c.Handlers, c.Subscriptions = []*Handler{handler("h")}, []Subscription{from(AtBeginning, handler("good"), nil)}
	})
	b.has(&got, b.events("order-1", placed{}))
	all, err := b.admin().List(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("%d subscriptions are listed, %v", len(all), err)
	}
	text, err := json.Marshal(all)
	if trouble := all[0].Partitions[0].Trouble; err != nil || trouble == nil || !strings.Contains(string(text), "read a definition") {
		t.Errorf("the status is %s, %v, want it to say why", text, err)
	}
}

// TestAProcessRenewsWhatEverItDoes, and ends that when others have what is its own.
func TestAProcessRenewsWhatEverItDoes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	k := &keeper{Runner: b.newProcess("one", nil).Runner}
	if err := k.stay(t.Context()); err != nil {
		t.Fatal(err)
	}
	const expires = `SELECT coalesce(max(expires_at)::text, '') FROM {schema}.subscription_members`
	if err := k.whileRenewing(t.Context(), func(ctx context.Context) error {
		before := read[string](b, expires)
		b.eventually(func() error {
			if read[string](b, expires) == before {
				return errors.New("it did not renew")
			}
			return nil
		})
		b.exec(`DELETE FROM {schema}.subscription_members`)
		<-ctx.Done()
		return ctx.Err()
	}); !errors.Is(err, context.Canceled) || t.Context().Err() != nil {
		t.Errorf("it ended with %v", err)
	}
}
