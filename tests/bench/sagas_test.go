package bench

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestSagas(t *testing.T) {
	t.Parallel()
	r := tiny(t, Sagas{InFlight: []int{2}, Duration: 10 * moment, Timers: fewTimers})
	var got []string
	for _, res := range r.Results {
		got = append(got, res.Question+": "+res.Name)
		if res.Question == partSteps && res.Events != orderSteps*res.Calls {
			t.Errorf("%s: %d steps of %d orders", res.Name, res.Events, res.Calls)
		}
	}
	want := []string{"orders: commands", "orders: commands, read models", "orders: shop checkout", "orders: appends",
		"steps: commands", "steps: calls", "timers waiting: 1,000 timers", "timers set and cancelled: 1,000 timers"}
	if !slices.Equal(got, want) {
		t.Errorf("measured %q, want %q", got, want)
	}
	if got := len(ratiosOf(r, "orders: commands/")); got != 3 {
		t.Errorf("ratios are %v", r.Ratios)
	}
}

// What is appended without a saga must be what the saga comes to.
func TestBareOrderIsWhatTheCommandsComeTo(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	env := &Env{dsn: db.DSN}
	err := env.with(t.Context(), 1, func(s *scratch) error {
		d, err := openDesk(t.Context(), s, delivers, commandShop)
		if err != nil {
			return err
		}
		defer d.close(t.Context())
		if _, err := d.order(t.Context(), 0); err != nil {
			return err
		}
		count := func(stream string) map[string]int {
			n := make(map[string]int)
			for e, err := range s.store.ReadStream(t.Context(), stream, eventstore.ReadOptions{}) {
				if err == nil {
					n[e.Type]++
				}
			}
			return n
		}
		codec, err := d.app.Codec()
		if err != nil {
			return err
		}
		bare, events := make(map[string]map[string]int), 0
		for _, one := range bareOrder(1) {
			for _, e := range one {
				name, _ := codec.TypeName(reflect.TypeOf(e.value))
				if bare[e.stream] == nil {
					bare[e.stream] = make(map[string]int)
				}
				bare[e.stream][name]++
				events++
			}
		}
		for stream, want := range bare {
			got := count(stream)
			delete(got, "StockReceived")
			if !maps.Equal(got, want) {
				t.Errorf("%s has %v, want %v", stream, got, want)
			}
		}
		if events != 19 {
			t.Errorf("%d events, want 19", events)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
