package payment_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/domain/payment"
)

// model is the payment as one would keep it with three piles of coins: held,
// taken and given back.
type model struct {
	held, taken, back int64
	// open says that an authorization may come, voided that none will.
	open, voided bool
	// done has what was done under each key.
	done map[string]string
}

// step draws a command and does it to the model if the model allows it; done says
// that nothing is left to do, or that its key was used.
func (m *model) step(t *rapid.T) (c command, allowed, done bool) {
	key := rapid.SampledFrom([]string{"k1", "k2", "k3", "k4", "k5", "k6"}).Draw(t, "key")
	n := rapid.Int64Range(1, 10).Draw(t, "amount")
	do := rapid.SampledFrom([]string{"authorize", "decline", "capture", "decline-capture", "void", "refund"}).Draw(t, "command")
	as := do
	switch do {
	case "authorize":
		n *= 3
		c, as = authorize(key, n), fmt.Sprint(do, n)
	case "decline":
		c = decline(key)
	case "capture":
		c, as = capture(key, n), fmt.Sprint(do, n)
	case "decline-capture":
		c = declineCapture(key)
	case "void":
		c = void(key)
	case "refund":
		c, as = refund(key, n), fmt.Sprint(do, n)
	}
	if before := m.done[key]; before != "" {
		return c, before == as, true
	}
	switch {
	case do == "authorize" && m.open:
		m.held, m.open = n, false
	case do == "decline" && m.open:
	case do == "capture" && n <= m.held:
		m.held, m.taken = m.held-n, m.taken+n
	case do == "decline-capture" && m.held > 0:
	case do == "decline-capture":
		return c, true, true
	case do == "refund" && n <= m.taken:
		m.taken, m.back = m.taken-n, m.back+n
	case do == "void" && (m.open || m.held > 0):
		m.held, m.open, m.voided = 0, false, true
	case do == "void" && (m.taken == 0 || m.voided):
		return c, true, true
	default:
		return c, false, false
	}
	m.done[key] = as
	return c, true, false
}

func TestMoneyIsWhatPilesOfCoinsGive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := model{open: true, done: make(map[string]string)}
		var p payment.Payment
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			before := deepCopy(t, p)
			c, allowed, done := m.step(t)
			got, err := c.Decide(p)
			if allowed != (err == nil) || !allowed && done != errors.Is(err, payment.ErrKeyReused) {
				t.Fatalf("%+v on %+v: %v", c, p, err)
			}
			if err == nil && done != (len(got) == 0) {
				t.Fatalf("%+v on %+v = %+v, done before: %t", c, p, got, done)
			}
			next := p
			for _, e := range got {
				next = e.Evolve(next)
			}
			if !reflect.DeepEqual(p, before) {
				t.Fatalf("deciding or evolving changed its argument from %+v to %+v", before, p)
			}
			p = next
			if p.Capturable() != m.held || p.Refundable() != m.taken || p.RefundedMinor != m.back {
				t.Fatalf("after %+v: payment = %+v, want %+v", c, p, m)
			}
			if p.RefundedMinor < 0 || p.RefundedMinor > p.CapturedMinor || p.CapturedMinor > p.AuthorizedMinor {
				t.Fatalf("after %+v: not 0 ≤ refunded ≤ captured ≤ authorized: %+v", c, p)
			}
		}
	})
}

func TestEventsSurviveJSON(t *testing.T) {
	for _, e := range (events{authorized("a", 1), declined("a"), captured("a", 1), captureDeclined("a"), voided("a", 1), voided("a", 0), refunded("a", 1)}) {
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

// deepCopy copies by way of JSON, and so checks too that a snapshot gives back an
// equal state.
func deepCopy(t *rapid.T, p payment.Payment) payment.Payment {
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var copied payment.Payment
	if err := json.Unmarshal(data, &copied); err != nil {
		t.Fatal(err)
	}
	return copied
}
