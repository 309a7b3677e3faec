package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/projections"
)

// TestLookupsKeepNobodyFromTheDatabase: while events wait for what is to be beside them no other subscription waits for a place for its transactions, and
// what explains an event takes one connection at a time.
func TestLookupsKeepNobodyFromTheDatabase(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	b.exec(`CREATE TABLE {schema}.effects (subscription text, position bigint, stream text)`)
	for _, name := range []string{"waits", "others"} {
		b.exec(b.records.sql(`CREATE FUNCTION {schema}.` + name + `(e jsonb) RETURNS void LANGUAGE sql AS
			$$ INSERT INTO {schema}.effects VALUES ('` + name + `', (e->>'position')::bigint, e->>'stream') $$`))
	}
	b.projects(customersFold())
	b.events("order-2", placed{Total: 1, Customer: "eve"})
	ann := b.events("order-1", placed{Total: 5, Customer: "ann"})
	last := b.events("order-3", placed{Total: 1, Customer: "bob"})
	subscription := func(name string, enrich map[string]Enrichment) Subscription {
		return Subscription{Definition: Definition{Name: name, Start: Start{At: AtBeginning}, Partitions: 1, Enrich: enrich,
			Target: TargetConfig{SQL: &SQLTarget{Function: b.schema + "." + name}}}}
	}
	answers := make(chan struct{})
	processes := declare(
		subscription("waits", map[string]Enrichment{
			"customer": {Projection: "customers", Key: EnrichKey{"$.data.Customer"}, Wait: Duration(time.Minute)},
			"rating":   {HTTP: &EnrichHTTP{URL: "https://example.com/{$.data.Customer}", Timeout: Duration(time.Minute)}, Without: WithoutFail}}),
		subscription("others", nil),
	)
	b.processWith("one", func(c *pgxpool.Config) { c.MaxConns = MinConnections }, func(c *Config) {
		processes(c)
		c.Asks = func(EnrichHTTP) (Asker, error) { return answersWhen(answers), nil }
	})
	b.cursors("others", last, nil)
	close(answers)
	b.cursors("waits", last, nil)
	pool := b.db.NewPool(b, func(c *pgxpool.Config) { c.MaxConns = 1 })
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	x, err := NewAdmin(pool, b.schema, b.store, "test").Explain(ctx, "waits", ann)
	if err != nil || x.State != IsDelivered || !strings.Contains(x.Text, "customer is in projection customers now") {
		t.Errorf("of what was delivered it is said %s: %s, %v", x.State, x.Text, err)
	}
}

// answersWhen answers once it is closed.
type answersWhen chan struct{}

func (a answersWhen) Close() {}

func (a answersWhen) Get(ctx context.Context, _ *url.URL) ([]byte, error) {
	select {
	case <-a:
		return []byte("5"), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// isHeld waits until an event of a subscription of one partition waits to be tried again.
func (b *bench) isHeld(name string, position int64) {
	b.Helper()
	b.eventually(func() error {
		if b.rows(name, "waiting") > 0 {
			return nil
		}
		if cursor := read[int64](b, `SELECT p.position FROM {schema}.subscription_partitions p JOIN {schema}.subscriptions s ON s.id = p.subscription WHERE s.name = $1`, name); cursor >= position && b.rows(name, "waiting") == 0 {
			b.Fatalf("%s is done with the event at %d, which its projection had not come to", name, position)
		}
		return fmt.Errorf("%s has no event that waits", name)
	})
}

func (s *seen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = nil
}

// TestARowIsWaitedFor: while a read model is behind, what it does not have is not known, and nothing is dropped for that.
func TestARowIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	b.catches("an event is enriched by what is known at its place")
	b.projects(customersFold())
	ann := b.events("order-1", placed{Total: 5, Customer: "ann"})
	b.eventually(func() error {
		if n := read[int](b, `SELECT count(*) FROM {schema}.projection_generations WHERE position >= $1`, ann); n == 0 {
			return errors.New("the projection has not come there")
		}
		return nil
	})
	steer := projections.NewAdmin(b.db.Pool, b.schema, b.store)
	if err := steer.Pause(t.Context(), "customers", "", "test"); err != nil {
		t.Fatal(err)
	}
	var got seen
	h := HandleRaw("drops", func(_ context.Context, d *Delivery) error { got.add(d.Events[0]); return nil })
	b.process("one", declare(from(AtBeginning, h, func(d *Definition) {
		d.Partitions = 1
		d.Enrich = map[string]Enrichment{"customer": {Projection: "customers", Key: EnrichKey{"$.data.Customer"}, Wait: Duration(time.Minute), Without: WithoutDrop}}
	})))
	b.has(&got, ann)
	eve := b.events("order-2", placed{Total: 1, Customer: "eve"})
	b.isHeld("drops", eve)
	if x, err := b.admin().Explain(t.Context(), "drops", eve); err != nil || x.State != IsWaiting || !strings.Contains(x.Text, "it was postponed, which counts as no failure") {
		t.Errorf("of what waits it is said %s: %s, %v", x.State, x.Text, err)
	}
	if err := steer.Resume(t.Context(), "customers", "", "test"); err != nil {
		t.Fatal(err)
	}
	b.has(&got, ann, eve)
}
