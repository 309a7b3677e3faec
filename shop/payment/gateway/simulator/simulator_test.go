package simulator_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/57528e99/recount/shop/payment/gateway"
	"github.com/57528e99/recount/shop/payment/gateway/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a gateway with a clock, and what its callback was told.
type fixture struct {
	*simulator.Gateway
	now  time.Time
	told []gateway.Answer
	// refuse is what the callback returns.
	refuse error
}

func newFixture(c simulator.Config) *fixture {
	f := &fixture{now: time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)}
	c.Now = func() time.Time { return f.now }
	c.Delay = time.Minute
	c.Callback = func(_ context.Context, a gateway.Answer) error {
		f.told = append(f.told, a)
		return f.refuse
	}
	f.Gateway = simulator.New(c)
	return f
}

func request(key string, minor int64) gateway.Request {
	return gateway.Request{Key: key, OrderID: "42", AmountMinor: minor, Currency: "GBP", Card: "visa"}
}

// expect checks an outcome: that there is an answer if err is nil, and that so
// much is held.
func (f *fixture) expect(t *testing.T, what string, a gateway.Answer, err, want error, held int64) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && a.Declined != "" {
		t.Errorf("%s = %+v, %v, want %v", what, a, err, want)
	}
	if got := f.Amounts("42").Held(); got != held {
		t.Errorf("%s: %d are held, want %d", what, got, held)
	}
}

func TestFaultsOfAnAuthorization(t *testing.T) {
	ctx := t.Context()
	for _, test := range []struct {
		fault simulator.Fault
		// first and second are what it is to two requests under one key.
		first, second error
		// held is what is held between the two.
		held int64
		// told is how often the callback is told.
		told int
	}{
		{"visa", nil, nil, 100, 0},
		{simulator.Declined, gateway.ErrDeclined, gateway.ErrDeclined, 0, 0},
		{simulator.Unavailable, gateway.ErrUnavailable, nil, 0, 0},
		{simulator.LostRequest, gateway.ErrUnknown, nil, 0, 0},
		{simulator.LostAnswer, gateway.ErrUnknown, nil, 100, 0},
		{simulator.Twice, nil, nil, 100, 1},
		{simulator.Late, gateway.ErrPending, nil, 0, 1},
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			f := newFixture(simulator.Config{Plan: simulator.ByCard(simulator.BySeed(1, nil))})
			r := request("k", 100)
			r.Card = string(test.fault)
			first, err := f.Authorize(ctx, r)
			f.expect(t, "the first answer", first, err, test.first, test.held)

			if n, err := f.Deliver(ctx); n != 0 || err != nil {
				t.Errorf("Deliver before anything is due = %d, %v", n, err)
			}
			second, err := f.Authorize(ctx, r)
			held := int64(100)
			if test.second != nil {
				held = 0
			}
			f.expect(t, "the second answer", second, err, test.second, held)

			f.now = f.now.Add(time.Minute)
			f.refuse = errors.New("the log is down")
			if n, err := f.Deliver(ctx); n != 0 || errors.Is(err, f.refuse) != (test.told > 0) {
				t.Errorf("Deliver to a callback that fails = %d, %v", n, err)
			}
			f.refuse, f.told = nil, nil
			if n, err := f.Deliver(ctx); n != test.told || err != nil {
				t.Errorf("Deliver = %d, %v, want %d", n, err, test.told)
			}
			for _, a := range f.told {
				if a != second {
					t.Errorf("the callback is told %+v, want %+v", a, second)
				}
			}
			if n, err := f.Deliver(ctx); n != 0 || err != nil || len(f.told) != test.told {
				t.Errorf("Deliver again = %d, %v; told %d times, want %d", n, err, len(f.told), test.told)
			}
		})
	}
}

// An authorization that is still on its way when the order is voided comes to
// nothing.
func TestNothingIsAuthorizedAfterAVoid(t *testing.T) {
	f := newFixture(simulator.Config{Plan: simulator.ByAmount(simulator.BySeed(1, nil))})
	_, err := f.Authorize(t.Context(), request("a", 196))
	f.expect(t, "authorize", gateway.Answer{}, err, gateway.ErrPending, 0)
	a, err := f.Void(t.Context(), request("v", 0))
	f.expect(t, "void", a, err, nil, 0)
	f.now = f.now.Add(time.Hour)
	if _, err := f.Deliver(t.Context()); err != nil || len(f.told) != 1 || f.told[0].Declined == "" {
		t.Errorf("the callback is told %+v, %v, want one that was declined", f.told, err)
	}
}

func TestRules(t *testing.T) {
	type step struct {
		do       func(*simulator.Gateway, context.Context, gateway.Request) (gateway.Answer, error)
		minor    int64
		declined string
	}
	var (
		authorize = (*simulator.Gateway).Authorize
		capture   = (*simulator.Gateway).Capture
		void      = (*simulator.Gateway).Void
		refund    = (*simulator.Gateway).Refund
	)
	tests := []struct {
		steps []step
		want  simulator.Amounts
	}{
		{[]step{{authorize, 0, "there is no amount"}, {capture, 1, "it is more than is held"}, {refund, 1, "it is more than was captured"}}, simulator.Amounts{}},
		{[]step{{authorize, 100, ""}, {authorize, 100, "the order is authorized already"}, {capture, 60, ""}, {capture, 41, "it is more than is held"}, {refund, 61, "it is more than was captured"}},
			simulator.Amounts{AuthorizedMinor: 100, CapturedMinor: 60}},
		{[]step{{authorize, 100, ""}, {capture, 60, ""}, {void, 0, ""}, {capture, 1, "it is more than is held"}, {refund, 50, ""}, {refund, 10, ""}, {refund, 1, "it is more than was captured"}},
			simulator.Amounts{AuthorizedMinor: 100, CapturedMinor: 60, VoidedMinor: 40, RefundedMinor: 60}},
		{[]step{{authorize, 100, ""}, {capture, 100, ""}, {void, 0, "all is captured"}, {refund, 100, ""}, {void, 0, ""}},
			simulator.Amounts{AuthorizedMinor: 100, CapturedMinor: 100, RefundedMinor: 100}},
	}
	for _, test := range tests {
		g := simulator.New(simulator.Config{})
		for i, s := range test.steps {
			a, err := s.do(g, t.Context(), request(fmt.Sprint(i), s.minor))
			if a.Declined != s.declined || errors.Is(err, gateway.ErrDeclined) != (s.declined != "") {
				t.Errorf("%+v: step %d = %+v, %v, want %q", test.steps, i, a, err, s.declined)
			}
		}
		if got := g.Amounts("42"); got != test.want {
			t.Errorf("%+v lead to %+v, want %+v", test.steps, got, test.want)
		}
	}
}

func TestAKeyHasOneAnswerForEver(t *testing.T) {
	var kept []gateway.Answer
	keep := func(a gateway.Answer) error {
		kept = append(kept, a)
		return nil
	}
	f := newFixture(simulator.Config{Keep: keep})
	first, err := f.Authorize(t.Context(), request("a", 100))
	f.expect(t, "authorize", first, err, nil, 100)
	_, err = f.Capture(t.Context(), request("b", 101))
	f.expect(t, "capture too much", gateway.Answer{}, err, gateway.ErrDeclined, 100)

	// The process ends, and another begins with what was written down.
	full := errors.New("disk full")
	next := newFixture(simulator.Config{Past: kept, Keep: func(gateway.Answer) error { return full }})
	next.now = next.now.Add(time.Hour)
	again, err := next.Authorize(t.Context(), request("a", 100))
	next.expect(t, "authorize again", again, err, nil, 100)
	if again != first || !reflect.DeepEqual(next.Answers(), f.Answers()) {
		t.Errorf("the next process answers %+v, has %+v, want %+v, %+v", again, next.Answers(), first, f.Answers())
	}
	_, err = next.Capture(t.Context(), request("b", 101))
	next.expect(t, "capture too much again", gateway.Answer{}, err, gateway.ErrDeclined, 100)
	for what, do := range map[string]func(context.Context, gateway.Request) (gateway.Answer, error){
		"another operation under the key": next.Capture, "another amount under the key": next.Authorize,
	} {
		_, err = do(t.Context(), request("a", 99))
		next.expect(t, what, gateway.Answer{}, err, gateway.ErrDeclined, 100)
	}

	// What cannot be written down is not done.
	_, err = next.Capture(t.Context(), request("c", 100))
	next.expect(t, "capture", gateway.Answer{}, err, gateway.ErrUnavailable, 100)
	if !errors.Is(err, full) {
		t.Errorf("capture = %v, want to know why", err)
	}
}

func TestAllIsDoneOnceHoweverManyAsk(t *testing.T) {
	var told sync.Map
	g := simulator.New(simulator.Config{
		Plan:  simulator.BySeed(7, map[simulator.Fault]float64{simulator.LostAnswer: .2, simulator.Late: .2, simulator.Twice: .2, simulator.Unavailable: .2}),
		Delay: time.Nanosecond,
		Callback: func(_ context.Context, a gateway.Answer) error {
			told.Store(a.Key, a)
			return nil
		},
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 50 {
				r := request(fmt.Sprint("a", i), 10)
				r.OrderID = fmt.Sprint(i)
				for _, err := g.Authorize(t.Context(), r); err != nil; _, err = g.Authorize(t.Context(), r) {
				}
				r.Key = fmt.Sprint("c", i)
				for _, err := g.Capture(t.Context(), r); err != nil; _, err = g.Capture(t.Context(), r) {
				}
				if _, err := g.Deliver(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := len(g.Answers()); n != 100 {
		t.Errorf("%d answers, want 100", n)
	}
	for _, a := range g.Answers() {
		if want := (simulator.Amounts{AuthorizedMinor: 10, CapturedMinor: 10}); g.Amounts(a.OrderID) != want {
			t.Errorf("amounts of order %s = %+v, want %+v", a.OrderID, g.Amounts(a.OrderID), want)
		}
		if other, ok := told.Load(a.Key); ok && other != a {
			t.Errorf("the callback is told %+v, want %+v", other, a)
		}
	}
}

func TestSharesAreKeptAndDrawnByKey(t *testing.T) {
	shares := map[simulator.Fault]float64{simulator.Declined: .1, simulator.LostAnswer: .25, simulator.Late: .4}
	plan, other := simulator.BySeed(1, shares), simulator.BySeed(2, shares)
	const n = 20_000
	counts, differ := make(map[simulator.Fault]int), 0
	for i := range n {
		r := request(fmt.Sprint("checkout-", i, "/2"), 100)
		f := plan(gateway.Authorize, r, 1)
		if f != plan(gateway.Authorize, r, 1) {
			t.Fatalf("another fault for %s the second time", r.Key)
		}
		if f != other(gateway.Authorize, r, 1) {
			differ++
		}
		if plan(gateway.Refund, r, 1) == simulator.Declined {
			t.Fatalf("a refund is declined for no reason")
		}
		counts[f]++
	}
	shares[simulator.None] = .25
	for f, share := range shares {
		if got := float64(counts[f]) / n; got < share-.02 || got > share+.02 {
			t.Errorf("%q hits %.3f of the requests, want %.3f", f, got, share)
		}
	}
	if differ < n/2 {
		t.Errorf("another seed changes %d of %d", differ, n)
	}
}
