package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// orderRow is a row whose changes are delivered.
type orderRow struct {
	Total    int64
	Customer string
}

func ordersFold(name string, images projections.Images) projections.Projection {
	f := projections.NewFold[string, orderRow](projections.Table{Name: name, Version: 1, Changes: images})
	projections.Upsert(f, projections.ByID, func(o *orderRow, e placed, _ projections.Recorded) error {
		o.Total, o.Customer = o.Total+e.Total, e.Customer
		return nil
	})
	projections.Delete(f, projections.ByID[cancelled])
	return f
}

// projects runs projections until the test's end.
func (b *bench) projects(all ...projections.Projection) *projections.Runner {
	b.Helper()
	r, err := projections.NewRunner(projections.Config{Pool: b.db.NewPool(b, nil), Schema: b.db.Schema, Store: b.open(), Codec: newCodec(b)}, all...)
	if err == nil {
		err = r.Start(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = r.Stop(ctx)
	})
	return r
}

// lines returns what was seen, an event a line, in order of position.
func (s *seen) lines() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[int64]string)
	for _, e := range s.list {
		all[e.Position] += fmt.Sprintf("%d %s %s %s\n", e.Position, e.Type, e.Stream, e.Data)
	}
	var text strings.Builder
	for position := int64(1); len(all) > 0; position++ {
		text.WriteString(all[position])
		delete(all, position)
	}
	return text.String()
}

// TestChangesOfRowsAreDelivered: each once, whatever is rebuilt; by row in order, past one that fails, which another process
// reads again; with the images asked for. What the projection does not keep is refused.
func TestChangesOfRowsAreDelivered(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	rows := b.projects(ordersFold("orders", projections.NewAndOld), ordersFold("plain", ""), ordersFold("keys", projections.KeysOnly))
	for source, want := range map[string]string{
		`{"projection":"nobody"}`:                  "/source/changes/projection is not there",
		`{"projection":"plain"}`:                   "/source/changes/projection keeps no changes: set Changes",
		`{"projection":"keys","images":"new"}`:     `/source/changes/images must be "keys_only"`,
		`{"projection":"orders","images":"after"}`: `/source/changes/images must be "new_and_old", "new", "old" or "keys_only"`,
		`{}`: "/source/changes/projection must be there",
	} {
		d, err := ParseDefinition([]byte(`{"source":{"changes":`+source+`},`+toHandler+`}`), "refused")
		if err == nil {
			_, err = b.admin().Put(t.Context(), d, PutOptions{})
		}
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("source %s: %v, want %q", source, err, want)
		}
	}
	var all, keys seen
	var mended atomic.Bool
	follows := HandleRaw("follows", func(_ context.Context, d *Delivery) error {
		if d.Events[0].Stream == "orders-2" && !mended.Load() {
			return errors.New("not now")
		}
		all.add(d.Events[0])
		return nil
	})
	inserts := HandleRaw("inserts", func(_ context.Context, d *Delivery) error { keys.add(d.Events[0]); return nil })
	of := func(images projections.Images, filter string) func(*Definition) {
		return func(d *Definition) {
			d.Partitions = 1
			d.Source.Changes = &ChangesSource{Projection: "orders", Images: images}
			if filter != "" {
				d.Filter = json.RawMessage(filter)
			}
		}
	}
	both := declare(from(AtBeginning, follows, of("", "")), from(AtBeginning, inserts, of(projections.KeysOnly, `{"type":["RowInserted","$RowsReplaced"]}`)))
	one := b.process("one", both)
	// The log has alerts too, about what fails.
	at := []any{b.events("order-1", placed{Total: 5, Customer: "ann"})}
	two := b.events("order-2", placed{Total: 7, Customer: "bob"}, placed{Customer: "bob"}, placed{Total: 1, Customer: "bob"})
	at = append(at, two-2, two, b.events("order-1", placed{Total: 1, Customer: "eve"}))
	b.has(&all, 1, 4)
	b.cursors("follows", 4, map[string]int{"waiting": 1, "blocked": 1})
	if err := one.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	mended.Store(true)
	b.process("two", both)
	b.has(&all, 1, 2, 3, 4)
	if _, err := rows.Run(t.Context(), operations.Request{Kind: projections.Rebuild, Subject: "orders", Actor: "test"}, nil); err != nil {
		t.Fatal(err)
	}
	at = append(at, b.events("order-2", cancelled{}))
	b.has(&all, 1, 2, 3, 4, 6)
	want := fmt.Sprintf(`1 RowInserted orders-1 {"kind":"insert","position":%d,"key":{"id":"1"},"new":{"total":5,"customer":"ann"}}
2 RowInserted orders-2 {"kind":"insert","position":%d,"key":{"id":"2"},"new":{"total":7,"customer":"bob"}}
3 RowModified orders-2 {"kind":"modify","position":%d,"key":{"id":"2"},"old":{"total":7,"customer":"bob"},"new":{"total":8,"customer":"bob"}}
4 RowModified orders-1 {"kind":"modify","position":%d,"key":{"id":"1"},"old":{"total":5,"customer":"ann"},"new":{"total":6,"customer":"eve"}}
6 RowRemoved orders-2 {"kind":"remove","position":%d,"key":{"id":"2"},"old":{"total":8,"customer":"bob"}}
`, at...)
	if got := all.lines(); got != want {
		t.Errorf("delivered were\n%s\nwant\n%s", got, want)
	}
	ids := make(map[uuid.UUID]bool)
	for _, e := range all.list {
		ids[e.MessageID] = true
	}
	if len(ids) != len(all.list) {
		t.Errorf("%d changes have %d message ids", len(all.list), len(ids))
	}
	b.has(&keys, 1, 2, 5)
	if got := keys.lines(); !strings.HasPrefix(got, fmt.Sprintf("1 RowInserted orders-1 {\"kind\":\"insert\",\"position\":%d,\"key\":{\"id\":\"1\"}}\n", at[0])) ||
		!strings.Contains(got, "5 $RowsReplaced orders {\"kind\":\"replace\",\"position\":") {
		t.Errorf("of inserts by key were delivered\n%s", got)
	}
	b.toldOfChanges(all.list[0].RecordedAt)
}

// toldOfChanges looks at what operators are told of the subscriptions follows and inserts to a feed of six changes.
func (b *bench) toldOfChanges(begun time.Time) {
	b.Helper()
	for _, name := range []string{"follows", "inserts"} {
		b.eventually(func() error {
			if s := b.status(name); s.State != operations.Running || s.LagEvents == nil || *s.LagEvents != 0 {
				return fmt.Errorf("%s is %s, %v events behind", name, s.State, s.LagEvents)
			}
			return nil
		})
	}
	for position, want := range map[int64]string{
		2: "delivered it was delivered", 5: "not-matched it is an event of the store", 7: "not-in-log the change feed of orders has no event at position 7",
	} {
		x, err := b.admin().Explain(b.Context(), "follows", position)
		if got := fmt.Sprintf("%s %s", x.State, x.Text); err != nil || !strings.HasPrefix(got, want) {
			b.Errorf("position %d is explained as %q, %v, want %q", position, got, err, want)
		}
	}
	r, err := b.admin().Reset(b.Context(), "follows", ResetOptions{To: Start{Position: 3}, DryRun: true})
	if err != nil || *r.Repeated != 3 || *r.Skipped != 0 {
		b.Errorf("a reset to 3 would repeat %v, %v, want 3", r.Repeated, err)
	}
	_, err = b.put("follows", `{"source":{"changes":{"projection":"keys","images":"keys_only"}},"target":{"handler":{"name":"follows"}}}`)
	if err == nil || !strings.Contains(err.Error(), "/source cannot be changed") {
		b.Errorf("another source: %v", err)
	}
	for start, want := range map[string]int64{`"end"`: 6, `"beginning"`: 0, `{"position":4}`: 3, `{"time":"` + begun.Format(time.RFC3339Nano) + `"}`: 0} {
		c := b.mustPut(fmt.Sprint("at", len(start)), `{"source":{"changes":{"projection":"orders"}},"start":`+start+`,"paused":true,`+toHandler+`}`)
		if *c.Position != want {
			b.Errorf("start %s is behind position %d, want %d", start, *c.Position, want)
		}
	}
}

// TestChangesOfRowsArePulled: in order of the row, those that are acknowledged once.
func TestChangesOfRowsArePulled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.projects(ordersFold("orders", projections.New))
	b.mustPut("jobs", `{"source":{"changes":{"projection":"orders","images":"new"}},`+toPull+`}`)
	broker := b.broker()
	b.events("order-1", placed{Total: 5, Customer: "ann"}, placed{Total: 1, Customer: "ann"})
	b.events("order-2", placed{Total: 7, Customer: "bob"})
	for _, want := range [][]int64{{1, 3}, {2}} {
		got := b.pulled(broker, len(want), PullOptions{})
		if !slices.Equal(positionsOf(got), want) || !strings.Contains(string(got[0].Event.Data), `"new":{`) {
			t.Fatalf("pulled %v: %s, want %v", positionsOf(got), got[0].Event.Data, want)
		}
		b.settled(TokenSettled)(broker.Ack(t.Context(), "jobs", tokensOf(got...)...))
	}
	b.pullsNothing(broker)
}

// TestAReplayOfChangesIsOfTheFeed: its positions are numbers of the feed, which a restored log does not take for its own.
func TestAReplayOfChangesIsOfTheFeed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	rows := b.projects(ordersFold("orders", projections.New))
	b.events("order-1", placed{Total: 5})
	for range 2 { // the feed is ahead of the log
		if _, err := rows.Run(t.Context(), operations.Request{Kind: projections.Rebuild, Subject: "orders", Actor: "test"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	b.mustPut("follows", `{"source":{"changes":{"projection":"orders","images":"new"}},"start":"beginning","paused":true,`+toHandler+`}`)
	r := b.replay("follows", allowed(3, 3))
	b.exec(`UPDATE {schema}.log_incarnations SET system_identifier = 1`)
	if _, lastCommon, err := b.store.Adopt(t.Context()); err != nil || lastCommon != 1 {
		t.Fatalf("Adopt = %d, %v", lastCommon, err)
	}
	if at := read[int64](b, `SELECT position FROM {schema}.subscription_partitions WHERE subscription = $1 LIMIT 1`, b.id(r.Name)); at != 2 {
		t.Errorf("the replay of change 3 is at position %d, want 2", at)
	}
}
