package stock_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/domain/stock"
)

// model is the stock as one would count it by hand: what is neither reserved
// nor gone, and what each order has.
type model struct {
	free   int64
	orders map[string]int64
}

// step draws a command and does it to the model if the model allows it.
func (m *model) step(t *rapid.T) (c command, allowed bool) {
	order := rapid.SampledFrom([]string{"41", "42", "43"}).Draw(t, "order")
	n := rapid.Int64Range(1, 20).Draw(t, "quantity")
	move := func(free, reserved int64) bool {
		if m.free+free < 0 || m.orders[order]+reserved < 0 {
			return false
		}
		m.free += free
		m.orders[order] += reserved
		return true
	}
	switch rapid.SampledFrom([]string{"receive", "find", "lose", "reserve", "release", "commit"}).Draw(t, "command") {
	case "receive":
		return receive(n), move(n, 0)
	case "find":
		return adjust(n), move(n, 0)
	case "lose":
		return adjust(-n), move(-n, 0)
	case "reserve":
		return reserve(order, n), move(-n, n)
	case "release":
		return release(order, n), move(n, -n)
	default:
		return commit(order, n), move(0, -n)
	}
}

func (m *model) stock() stock.Stock {
	s := stock.Stock{OnHand: m.free}
	for order, n := range m.orders {
		if n == 0 {
			continue
		}
		if s.Reservations == nil {
			s.Reservations = make(map[string]int64)
		}
		s.Reservations[order] = n
		s.Reserved += n
		s.OnHand += n
	}
	return s
}

func TestStockIsWhatACountByHandGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := model{orders: make(map[string]int64)}
		var s stock.Stock
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			before := deepCopy(t, s)
			c, allowed := m.step(t)
			events, err := c.Decide(s)
			if allowed != (err == nil) {
				t.Fatalf("%+v on %+v: %v", c, s, err)
			}
			next := s
			for _, e := range events {
				next = e.Evolve(next)
			}
			if !reflect.DeepEqual(s, before) {
				t.Fatalf("deciding or evolving changed its argument from %+v to %+v", before, s)
			}
			s = next
			if want := m.stock(); !reflect.DeepEqual(s, want) || s.Available() != m.free {
				t.Fatalf("after %+v: stock = %+v, %d available, want %+v, %d", c, s, s.Available(), want, m.free)
			}
		}
	})
}

func TestEventsSurviveJSON(t *testing.T) {
	for _, e := range []stock.Event{received(1), adjusted(-1), reserved("42", 1), released("42", 1), committed("42", 1)} {
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("marshal %T: %v", e, err)
		}
		back := reflect.New(reflect.TypeOf(e))
		if err := json.Unmarshal(data, back.Interface()); err != nil || back.Elem().Interface() != e {
			t.Errorf("%T comes back from %s as %+v, %v", e, data, back.Elem(), err)
		}
	}
}

// deepCopy copies by way of JSON, and so checks too that a snapshot gives back
// an equal state.
func deepCopy(t *rapid.T, s stock.Stock) stock.Stock {
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var copied stock.Stock
	if err := json.Unmarshal(data, &copied); err != nil {
		t.Fatal(err)
	}
	return copied
}
