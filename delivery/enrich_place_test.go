package delivery

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
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
