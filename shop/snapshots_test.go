package shop_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/snapshots"
)

// TestBusyArticleHasASnapshot: with it the stock is what it is without.
func TestBusyArticleHasASnapshot(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/stock/TEA-1/receive", `{"quantity":1000}`)
	for i := range 100 {
		s.post("/v1/stock/TEA-1/reserve", fmt.Sprintf(`{"order_id":"%d","quantity":1}`, i))
	}
	kept := snapshots.NewStore(s.db.Pool, s.db.Schema)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for made := false; !made; {
		all, err := kept.List(ctx, snapshots.Query{Stream: "stock-TEA-1"})
		if err != nil {
			t.Fatal(err)
		}
		made = len(all) == 1
	}
	with := must[*app.Commands](t)(app.NewCommands(shop.App(), s.store, app.CommandsConfig{Snapshots: kept}))
	without := must[*app.Commands](t)(app.NewCommands(shop.App(), s.store, app.CommandsConfig{}))
	want, _, err := without.State(t.Context(), "stock-TEA-1", commands.Moment{})
	if err != nil {
		t.Fatal(err)
	}
	got, version, err := with.State(t.Context(), "stock-TEA-1", commands.Moment{})
	if err != nil || version != 100 || fmt.Sprint(got) != fmt.Sprint(want) || got.(stock.Stock).Reserved != 100 {
		t.Errorf("stock = %+v at %d, %v; want %+v at 100", got, version, err, want)
	}
}

// TestStatesSurviveSnapshots: any category may be given snapshots.
func TestStatesSurviveSnapshots(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/orders", orderJSON("1", "ann", "Norway", "NOK", "2011-12-01T10:00:00Z", lineJSON("TEA-1", 1, 100)))
	s.post("/v1/orders/1/cancel", `{"reason":"none left"}`)
	s.post("/v1/stock/TEA-1/receive", `{"quantity":1}`)
	s.post("/v1/returns", orderJSON("1", "ann", "Norway", "NOK", "2011-12-01T10:00:00Z", lineJSON("TEA-1", 1, 100)))
	every := map[string]int{"order": 1, "stock": 1, "return": 1}
	all := must[*app.Commands](t)(app.NewCommands(shop.App(), s.store, app.CommandsConfig{SnapshotEvery: every}))
	sources := all.SnapshotSources()
	if len(sources) != 3 {
		t.Fatalf("%d sources, want 3", len(sources))
	}
	for i, stream := range []string{"order-1", "stock-TEA-1", "return-1"} {
		if _, found, err := sources[i].Snapshot(t.Context(), stream); !found || err != nil {
			t.Errorf("snapshot of %s: found %v, error %v", stream, found, err)
		}
	}
}

func TestSnapshotSettings(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	for _, c := range []struct {
		every map[string]int
		want  string
	}{
		{nil, "stock=100 "},
		{map[string]int{"order": 50}, "order=50 stock=100 "},
		{map[string]int{"stock": 0}, ""},
		{map[string]int{"stok": 5}, "invalid"},
		{map[string]int{"stock": -5}, "invalid"},
	} {
		got := ""
		s, err := app.NewCommands(shop.App(), store, app.CommandsConfig{SnapshotEvery: c.every})
		if errors.Is(err, eventstore.ErrInvalid) {
			got = "invalid"
		} else {
			for _, source := range s.SnapshotSources() {
				got += describe(source)
			}
		}
		if got != c.want {
			t.Errorf("with %v snapshots are made %q, want %q", c.every, got, c.want)
		}
	}
}

func describe(s commands.SnapshotSource) string {
	return fmt.Sprintf("%s=%d ", s.Category(), s.Every())
}
