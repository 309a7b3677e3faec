package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
)

// effectsTable is what transactional handlers write to, a row for each effect.
const effectsTable = `CREATE TABLE effects (subscription text, position bigint, stream text)`

// insertEffect is what a Go handler does for an event.
func insertEffect(ctx context.Context, tx Tx, d *Delivery) error {
	for _, e := range d.Events {
		if _, err := tx.Exec(ctx, `INSERT INTO effects VALUES ($1, $2, $3)`, d.Subscription, e.Position, e.Stream); err != nil {
			return err
		}
	}
	return nil
}

// oneEffectEach waits until all events up to a position, but for alerts, have had an effect for a subscription, and wants it once.
func (b *bench) oneEffectEach(subscription string, upto int64) {
	b.Helper()
	upto -= b.alertsUpTo(upto)
	b.eventually(func() error {
		if n := read[int64](b, `SELECT count(DISTINCT position) FROM effects WHERE subscription = $1`, subscription); n < upto {
			return fmt.Errorf("%d events have had their effect for %s, want %d", n, subscription, upto)
		}
		return nil
	})
	if n := read[int64](b, `SELECT count(*) FROM effects WHERE subscription = $1`, subscription); n != upto {
		b.Errorf("there are %d effects of %d events for %s", n, upto, subscription)
	}
}

// effectFunction makes an SQL function that writes an effect for a subscription.
func (b *bench) effectFunction(subscription string) {
	b.exec(`CREATE FUNCTION ` + subscription + `(e jsonb) RETURNS void LANGUAGE sql AS
		$$ INSERT INTO effects VALUES ('` + subscription + `', (e->>'position')::bigint, e->>'stream') $$`)
}

// killBackends terminates the connections of processes at random until stop is called.
func (b *bench) killBackends() (stop func()) {
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.kill(done)
	}()
	return func() { close(done); <-ended }
}

// TestFault06TheEffectAndTheCursorAreOneTransaction: the reference marked an event as processed before it was, or after. Connections
// are killed all the while, a third of the transactions is refused, and there are two processes.
func TestFault06TheEffectAndTheCursorAreOneTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec(effectsTable)
	b.effectFunction("by_sql")
	var n atomic.Int64
	refuse := func(ctx context.Context, tx Tx) error {
		switch n.Add(1) % 31 {
		case 0:
			return errNot
		case 10: // a conflict that is over when it is tried again
			_, err := tx.Exec(ctx, `DO $$ BEGIN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END $$`)
			return err
		case 20: // an error that the handler ignores
			_, _ = tx.Exec(ctx, `SELECT 1/0`)
		}
		return nil
	}
	each := HandleTx("each", func(ctx context.Context, tx Tx, _ placed, at Event) error {
		if err := insertEffect(ctx, tx, &Delivery{Subscription: "each", Events: []Event{at}}); err != nil {
			return err
		}
		return refuse(ctx, tx)
	})
	batch := HandleTxRaw("batch", func(ctx context.Context, tx Tx, d *Delivery) error {
		if err := insertEffect(ctx, tx, d); err != nil {
			return err
		}
		return refuse(ctx, tx)
	})
	retry := func(d *Definition) {
		d.Partitions, d.Retry.MaxAttempts, d.Breaker.Keys = 2, 1000, 10_000
	}
	subscriptions := func(c *Config) {
		c.Subscriptions = []Subscription{
			from(AtBeginning, each, retry),
			from(AtBeginning, batch, func(d *Definition) { retry(d); d.Batch.MaxEvents = 20 }),
			{Definition: Definition{Name: "by_sql", Start: Start{At: AtBeginning}, Partitions: 2, Target: TargetConfig{SQL: &SQLTarget{Function: "by_sql"}}}},
		}
	}
	victim := func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = "victim" }
	b.processWith("one", victim, subscriptions)
	b.processWith("two", victim, subscriptions)
	stop, stopKilling := b.keepAppending(20), b.killBackends()
	b.eventually(func() error {
		if read[int64](b, `SELECT count(*) FROM effects`) < 600 {
			return errors.New("too few effects")
		}
		return nil
	})
	last := stop()
	stopKilling()
	for _, name := range []string{"each", "batch", "by_sql"} {
		b.oneEffectEach(name, last)
		b.cursors(name, 0, nil)
	}
}

// TestFault07WhatIsRememberedIsOfASubscription, and of an event in its stream: the reference knew events by their id, which another
// consumer had marked already. It holds across a reset.
func TestFault07WhatIsRememberedIsOfASubscription(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec(effectsTable)
	b.effectFunction("by_sql")
	e := eventstore.Event{ID: newID(), Type: "OrderPlaced", Data: []byte(`{}`)}
	b.events("order-1", e)
	last := b.events("order-2", e) // ids are unique in their stream
	remembers := HandleTxRaw("one", insertEffect, Remember())
	p := b.process("p", func(c *Config) {
		c.Subscriptions = []Subscription{
			from(AtBeginning, remembers, nil),
			{Definition: Definition{Name: "two", Start: Start{At: AtBeginning}, Target: TargetConfig{Handler: &HandlerTarget{Name: "one"}}}},
			{Definition: Definition{Name: "by_sql", Start: Start{At: AtBeginning}, Target: TargetConfig{SQL: &SQLTarget{Function: "by_sql", Remember: true}}}},
		}
	})
	names := []string{"one", "two", "by_sql"}
	for _, name := range names {
		b.oneEffectEach(name, last)
	}
	admin := &Admin{records: p.records, log: b.store}
	for _, name := range names {
		if _, err := admin.Reset(t.Context(), name, ResetOptions{To: Start{At: AtBeginning}, Actor: "test", Reason: "again"}); err != nil {
			t.Fatal(err)
		}
	}
	last = b.events("order-3", placed{})
	for _, name := range names {
		b.oneEffectEach(name, last)
	}
}

// TestOneEventThatFailsIsFoundInATransaction: the others of its transaction have their effect, it has none and is a dead letter, and
// its key goes on. So it is with one that cannot be decoded.
func TestOneEventThatFailsIsFoundInATransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec(effectsTable)
	b.exec(`CREATE FUNCTION by_sql(e jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO effects VALUES ('by_sql', (e->>'position')::bigint, e->>'stream');
		IF e->'data'->>'Customer' = 'bad' OR e->'data'->>'Total' = 'none' THEN RAISE EXCEPTION 'bad customer'; END IF; END $$`)
	bad := func(customer string) error {
		if customer == "bad" {
			return errors.New("bad customer")
		}
		return nil
	}
	var last int64
	var poison []int64
	for i := range 300 {
		var event any = placed{Customer: "good"}
		switch i {
		case 120:
			event = placed{Customer: "bad"}
		case 210:
			event = eventstore.Event{Type: "OrderPlaced", Data: []byte(`{"Total":"none"}`)}
		}
		last = b.events(fmt.Sprintf("order-%d", i%100), event)
		if i == 120 || i == 210 {
			poison = append(poison, last)
		}
	}
	few := func(d *Definition) { d.Retry.MaxAttempts, d.Partitions = 2, 1 }
	names := []string{"each", "batch", "by_sql"}
	b.process("one", func(c *Config) {
		bySQL := from(AtBeginning, nil, few).Definition
		bySQL.Name, bySQL.Target.SQL = "by_sql", &SQLTarget{Function: "by_sql"}
		c.Subscriptions = []Subscription{
			from(AtBeginning, HandleTx("each", func(ctx context.Context, tx Tx, e placed, at Event) error {
				return errors.Join(insertEffect(ctx, tx, &Delivery{Subscription: "each", Events: []Event{at}}), bad(e.Customer))
			}), few),
			from(AtBeginning, HandleTxBatch("batch", func(ctx context.Context, tx Tx, events []Decoded[placed]) error {
				for _, e := range events {
					if err := errors.Join(insertEffect(ctx, tx, &Delivery{Subscription: "batch", Events: []Event{e.Event}}), bad(e.Value.Customer)); err != nil {
						return err
					}
				}
				return nil
			}), func(d *Definition) { few(d); d.Batch.MaxEvents = 50 }),
			{Definition: bySQL},
		}
	})
	stop := b.keepAppending(20)
	for _, name := range names {
		b.cursors(name, last, map[string]int{"dead": 2})
	}
	all := stop()
	all -= 2 + b.alertsUpTo(all)
	for _, name := range names {
		b.eventually(func() error {
			if n := read[int64](b, `SELECT count(DISTINCT position) FROM effects WHERE subscription = $1`, name); n != all {
				return fmt.Errorf("%s: %d events had an effect, want %d", name, n, all)
			}
			return nil
		})
		if n := read[int64](b, `SELECT count(*) FROM effects WHERE subscription = $1`, name); n != all {
			t.Errorf("%s: there are %d effects, want %d", name, n, all)
		}
		dead := read[[]int64](b, `SELECT array_agg(r.position ORDER BY r.position) FROM {schema}.subscription_parked r JOIN {schema}.subscriptions s ON s.id = r.subscription
			WHERE s.name = $1 AND (r.error LIKE '%bad customer%' OR r.error LIKE '%Total%')`, name)
		if !slices.Equal(dead, poison) {
			t.Errorf("%s: the dead letters are %d, want %d", name, dead, poison)
		}
	}
}

// TestAHandlerIsToldOfWhatItMustNotDo: it ends the transaction, leaves it aborted, or breaks a rule that is looked at in the
// end.
func TestAHandlerIsToldOfWhatItMustNotDo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec(`CREATE TABLE numbers (n bigint UNIQUE DEFERRABLE INITIALLY DEFERRED)`)
	b.exec(`INSERT INTO numbers VALUES (7)`)
	handler := HandleTxRaw("h", func(ctx context.Context, tx Tx, d *Delivery) error {
		switch d.Events[0].Stream {
		case "ends-1":
			_, err := tx.Exec(ctx, `COMMIT`)
			return err
		case "aborted-1":
			_, _ = tx.Exec(ctx, `SELECT 1/0`)
		case "deferred-1":
			_, err := tx.Exec(ctx, `INSERT INTO numbers VALUES (7)`)
			return err
		}
		return nil
	})
	b.process("one", declare(from(AtBeginning, handler, func(d *Definition) { d.Retry.MaxAttempts = 2 })))
	want := map[int64]string{
		b.events("ends-1", placed{}):     "ended the transaction",
		b.events("aborted-1", placed{}):  "returned nil although",
		b.events("deferred-1", placed{}): "duplicate key",
	}
	stop := b.alive()
	b.cursors("h", 0, map[string]int{"dead": 3})
	stop()
	for position, text := range want {
		if got := read[string](b, `SELECT error FROM {schema}.subscription_parked WHERE position = $1`, position); !strings.Contains(got, text) {
			t.Errorf("the error at %d is %q, want %q in it", position, got, text)
		}
	}
}

// TestHandlersThatWaitLeaveConnections: as many as there are wait for a lock, and the process moves other cursors, and stays alive.
func TestHandlersThatWaitLeaveConnections(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec(effectsTable)
	lock, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := lock.Exec(t.Context(), `SELECT pg_advisory_xact_lock(1)`); err != nil {
		t.Fatal(err)
	}
	waits := HandleTxRaw("waits", func(ctx context.Context, tx Tx, d *Delivery) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(1)`); err != nil {
			return err
		}
		return insertEffect(ctx, tx, d)
	})
	var last int64
	for i := range 32 {
		last = b.events(fmt.Sprintf("order-%d", i), placed{})
	}
	b.processWith("one", func(c *pgxpool.Config) { c.MaxConns = MinConnections }, declare(
		from(AtBeginning, waits, func(d *Definition) { d.Partitions = 16 }),
		from(AtBeginning, HandleRaw("others", func(context.Context, *Delivery) error { return nil }), nil),
	))
	b.owned("waits", map[string]int{"one": 16})
	const member = `SELECT min(member) FROM {schema}.subscription_partitions`
	first := read[int64](b, member)
	b.eventually(func() error {
		if read[int](b, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
			return errors.New("no handler waits")
		}
		return nil
	})
	b.cursors("others", last, nil)
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.oneEffectEach("waits", last)
	if now := read[int64](b, member); now != first {
		t.Errorf("the process was taken for dead: it is member %d, and was %d", now, first)
	}
}

// TestASQLFunctionGetsWhatTheLogHas: what jsonb cannot hold comes in base64.
func TestASQLFunctionGetsWhatTheLogHas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec(`CREATE SCHEMA "Mine"`)
	b.exec(`CREATE TABLE "Mine".got (e jsonb)`)
	b.exec(`CREATE FUNCTION "Mine"."Take"(e jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO "Mine".got VALUES (e) $$`)
	for _, data := range []string{`{"a": [1, "x"]}`, `{"a": "\u0000"}`, `no JSON`, ``, "\xff\x00", `1e999999`, strings.Repeat(`[`, 50_000) + strings.Repeat(`]`, 50_000)} {
		b.events("order-1", eventstore.Event{Type: "OrderPlaced", Data: []byte(data), Metadata: []byte(`{"by": "me"}`)})
	}
	b.process("one", func(c *Config) {
		c.Subscriptions = []Subscription{{Definition: Definition{Name: "sql", Start: Start{At: AtBeginning}, Target: TargetConfig{SQL: &SQLTarget{Function: "Mine.Take"}}}}}
	})
	b.eventually(func() error {
		if n := read[int](b, `SELECT count(*) FROM "Mine".got`); n != 7 {
			return fmt.Errorf("%d events were taken, want 7", n)
		}
		return nil
	})
	for position, want := range map[int]string{
		1: `{"a": [1, "x"]}`, 2: `{"a": "\u0000"}`, 3: `no JSON`, 4: ``, 5: "\xff\x00", 6: `1e999999`,
	} {
		got := read[[]byte](b, `SELECT coalesce(convert_to(e->>'data', 'UTF8'), decode(e->>'data_base64', 'base64'), '') FROM "Mine".got WHERE e->>'position' = $1::text`, fmt.Sprint(position))
		if string(got) != want {
			t.Errorf("the data at %d are %q, want %q", position, got, want)
		}
	}
	if n := read[int](b, `SELECT count(*) FROM "Mine".got WHERE e->'metadata'->>'by' = 'me' AND e->>'stream' = 'order-1' AND e ? 'message_id'`); n != 7 {
		t.Errorf("%d events are whole, want 7", n)
	}
}

// TestDefinitionsChangeUnderLoad: doubled, halved, given another filter and another retry, while events come and a few fail. Nothing is
// lost and each key stays in order.
func TestDefinitionsChangeUnderLoad(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	h := newOrdered(b)
	h.fails = 0.02
	definition := func(change func(*Definition)) Definition {
		s := from(AtBeginning, HandleRaw("h", h.handle), func(d *Definition) { d.Retry.MaxAttempts = 1000 })
		if change != nil {
			change(&s.Definition)
		}
		return s.definition(newCodec(t))
	}
	one := b.process("one", declare(Subscription{Definition: definition(nil), Handler: HandleRaw("h", h.handle)}))
	stop := b.keepAppending(30)
	b.process("two", func(c *Config) { c.Handlers = []*Handler{HandleRaw("h", h.handle)} })
	admin := &Admin{records: one.records, log: b.store}
	seen := 0
	for _, change := range []func(*Definition){
		func(d *Definition) { d.Partitions = 16 },
		func(d *Definition) { d.Partitions = 16; d.MaxInFlight = 3 },
		func(d *Definition) { d.Partitions = 2 },
		func(d *Definition) { d.Partitions = 8 },
		func(d *Definition) { d.Partitions = 1 },
		func(d *Definition) { d.Partitions = 4; d.Filter = []byte(`{"type":["OrderPlaced"]}`) },
	} {
		d := definition(change)
		if _, err := admin.Put(t.Context(), d, PutOptions{Actor: "test"}); err != nil {
			t.Fatal(err)
		}
		b.eventually(func() error {
			if n := read[int](b, `SELECT count(*) FROM {schema}.subscription_partitions WHERE member IS NOT NULL`); n != d.Partitions {
				return fmt.Errorf("%d partitions are owned, want %d", n, d.Partitions)
			}
			return nil
		})
		seen += 100
		h.waitFor(func(n int) bool { return n >= seen })
	}
	h.atLeast(stop())
	b.cursors("h", 0, nil)
}
