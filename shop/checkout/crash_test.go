package checkout_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/shop/checkout"
)

// trouble is what happens to a process when each of its orders is at its place.
type trouble struct {
	name string
	// fails: there is an error at each place, and the process goes on. Else it stands still, another one brings the orders to their end,
	// and then it wakes up.
	fails bool
	// meanwhile is what happens while it stands still, and next what the other process runs, if that is anything else.
	meanwhile func(*ruin)
	next      func(*ruin) app.App
	// other says that orders may come to another end than that of their way.
	other bool
}

func (t trouble) String() string { return t.name }

var troubles = []trouble{
	{name: "an error", fails: true},
	{name: "a crash, or a pause"},
	{name: "a cancellation", meanwhile: (*ruin).cancelAll, other: true},
	{name: "deadlines", meanwhile: func(r *ruin) { r.ahead.Add(int64(2 * time.Hour)) }, other: true},
	{name: "events that come again, in another order", meanwhile: func(r *ruin) { r.deliverAgain() }},
	{name: "another definition", next: func(r *ruin) app.App { return r.app(closed()) }, other: true},
}

// closed is the next version of the checkout, which checks out no order.
func closed() *sagas.Saga {
	type data struct {
		ID string `json:"id"`
	}
	return sagas.Define(checkout.Name, 2, func(s *sagas.Steps[data]) {
		sagas.StartWith(s, func(e order.Placed) (string, data) { return e.ID, data{e.ID} })
		s.OnUndo("give-up", func(d data) sagas.Command {
			return sagas.Command{Name: "order.abandon", ID: d.ID, Command: order.Abandon{Reason: "the shop is closed"}}
		})
		s.Fail("closed", "closed", "the shop is closed")
	})
}

var pairs = flag.Bool("checkout.pairs", false, "let two things happen to each order of TestCrashes, in all pairs of places, which takes hours")

// TestCrashes lets something happen to orders at each place at which what the log knows and what the process knows differ, a place an
// order: in each step of each way of a checkout.
func TestCrashes(t *testing.T) {
	if testing.Short() || isRace {
		t.Skip("it takes half a minute")
	}
	t.Parallel()
	r, all := crashing(t, 1)
	if !*pairs {
		for _, happens := range troubles {
			r.meet(all, happens)
		}
		return
	}
	for _, first := range troubles[:2] {
		for _, second := range troubles[:2] {
			r.meet(all, first, second)
		}
	}
}

// TestSomeCrashes is TestCrashes with some of the places.
func TestSomeCrashes(t *testing.T) {
	t.Parallel()
	r, all := crashing(t, 5)
	for _, happens := range troubles[:2] {
		r.meet(all, happens)
	}
}

// crashing returns a shop, and every so-manieth place of each way.
func crashing(t *testing.T, step int) (r *ruin, all map[string][]place) {
	t.Helper()
	r, all = newRuin(t), make(map[string][]place)
	for _, some := range [][]string{{"declined", "regretted", "sent", "uncaptured", "unheard"}, {"hanging"}} {
		maps.Copy(all, r.places(some))
	}
	for n, way := range slices.Sorted(maps.Keys(all)) {
		var some []place
		for i, p := range all[way] {
			if (i+n)%step == 0 {
				some = append(some, p)
			}
		}
		all[way] = some
		t.Logf("%s: %d places: %s", way, len(some), some)
	}
	return r, all
}

// id returns one that no order has.
func (r *ruin) id(way string) string {
	r.serial++
	return fmt.Sprintf("%s-%d", way, r.serial)
}

// places returns the places that orders of some ways come by each time.
func (r *ruin) places(ways []string) map[string][]place {
	r.t.Helper()
	h, hanging := newHits(), make(chan struct{})
	r.hang = hanging
	p := r.start(h, r.app())
	ids := make(map[string][]string)
	var all []string
	for _, way := range ways {
		ids[way] = []string{r.id(way), r.id(way), r.id(way)}
		all = append(all, ids[way]...)
	}
	r.placeAll(all)
	r.letHang(h, false)
	r.settle()
	found := make(map[string][]place)
	for way, ids := range ids {
		for _, p := range h.of(ids[0]) {
			// An answer may come before anybody looks that it is waited for.
			if p.about != "dispatched open" && slices.Contains(h.of(ids[1]), p) && slices.Contains(h.of(ids[2]), p) {
				found[way] = append(found[way], p)
			}
		}
	}
	close(hanging)
	p.end()
	return found
}

// letHang lets the time pass that calls which hang have, when all hang but those that stand still before.
func (r *ruin) letHang(h *hits, still bool) {
	r.t.Helper()
	if wayOf(r.orders[0].ID) == "hanging" {
		r.until(ruleEnds, "at their places, or hanging", func(id string) bool { return still && h.hasReached(id) || r.hanging[id] || r.ended[id] || r.retry(id) })
		// A timer that stands still keeps waiting those that the read model does not have yet.
		apptest.Rows(r.Test, sagas.Timers)
		r.ahead.Add(int64(2 * time.Hour))
	}
}

// settle waits until all orders have come to their end.
func (r *ruin) settle() {
	r.t.Helper()
	r.until(ruleEnds, "at an end", func(id string) bool { return r.ended[id] || r.retry(id) })
	r.until(ruleEnds, "without an open step", func(id string) bool {
		return !slices.ContainsFunc(r.saga(id).Steps, func(s sagas.Step) bool { return s.Status == sagas.Open || s.Status == sagas.Undoing })
	})
}

// retry has an operator undo again what could not be undone, since its deadline has passed.
func (r *ruin) retry(id string) bool {
	r.t.Helper()
	for _, s := range r.saga(id).Steps {
		if s.Status != sagas.NotUndone {
			continue
		}
		act := sagas.Intervene{Intervened: sagas.Intervened{Act: sagas.Retry, Step: s.Name, Actor: "ops", Reason: "it should work"}}
		if _, err := r.Service.Sagas.Do(r.t.Context(), checkout.Name, id, act, commands.Options{}); err != nil && !errors.Is(err, sagas.ErrOver) {
			r.t.Fatal(err)
		}
	}
	return false
}

// meet lets things happen to orders, at each place, or pair of places, of each way: sixty at a time.
func (r *ruin) meet(all map[string][]place, happens ...trouble) {
	r.t.Helper()
	for _, hanging := range []bool{false, true} {
		at := make(map[string][]place)
		for way, places := range all {
			for _, p := range places {
				if way == "hanging" != hanging || happens[0].fails && !p.canFail() {
					continue
				}
				if len(happens) == 1 {
					at[r.id(way)] = []place{p}
					continue
				}
				for _, q := range places {
					if !happens[1].fails || q.canFail() {
						at[r.id(way)] = []place{p, q}
					}
				}
			}
		}
		for ids := range slices.Chunk(slices.Sorted(maps.Keys(at)), 60) {
			r.meetSome(at, ids, happens...)
			r.t.Logf("%s: %d orders, after %s", happens, len(ids), time.Since(r.began))
		}
	}
}

func (r *ruin) meetSome(at map[string][]place, ids []string, happens ...trouble) {
	r.t.Helper()
	release, hang := make(chan struct{}), make(chan struct{})
	r.hang = hang
	var processes []*process
	wakeAll := sync.OnceFunc(func() {
		for _, p := range processes {
			r.wakeUp(p)
		}
		close(release)
		close(hang)
	})
	defer func() {
		wakeAll()
		for _, p := range processes {
			p.end()
		}
	}()
	for from := 0; ; {
		h, to, still, a := newHits(), from, false, r.app()
		h.at = make(map[string][]place)
		for ; to < len(happens) && !still; to++ {
			fails := happens[to].fails
			still = !fails
			h.do = append(h.do, func() error {
				if fails {
					return errors.New("it fails here, once")
				}
				<-release
				return nil
			})
		}
		for _, id := range ids {
			h.at[id] = at[id][from:to]
		}
		if from > 0 && happens[from-1].next != nil {
			a = happens[from-1].next(r)
		}
		p := r.start(h, a)
		processes = append(processes, p)
		if from == 0 {
			r.placeAll(ids)
		}
		r.letHang(h, still)
		// What follows a command is done by who ran that, and has an event of its own: how often they come by a place is chance.
		r.until(ruleEnds, fmt.Sprintf("at their places, such as %s", at[ids[0]]), func(id string) bool {
			return h.hasReached(id) || (at[id][0].nth > 1 || from+len(h.do) > 1) && r.ended[id]
		})
		if !still {
			break
		}
		r.standStill(p)
		if happens[to-1].meanwhile != nil {
			happens[to-1].meanwhile(r)
		}
		from = to
	}
	r.settle()
	r.checkAll(happens)
	wakeAll()
	for _, p := range processes[:len(processes)-1] {
		p.end()
	}
	last := processes[len(processes)-1]
	r.until(ruleEnds, "delivered", func(string) bool { return last.isIdle(r.head()) })
	r.settle()
	r.checkAll(happens)
	before := r.head()
	r.deliverAgain()
	if after := r.head(); after != before {
		r.broken(ruleNothing, "after %s, events that are delivered again lead to %d new ones", happens, after-before)
	}
}

// cancelAll cancels all orders that can be: not those whose goods are on their way.
func (r *ruin) cancelAll() {
	r.t.Helper()
	r.drive()
	for _, o := range r.orders {
		if wayOf(o.ID) == "sent" && r.State("order-"+o.ID).(order.Order).Status != order.StatusPlaced {
			continue
		}
		if err := r.Do("order.cancel", o.ID, order.Cancel{Reason: "changed my mind", At: at}); err != nil && !errors.Is(err, order.ErrTransition) {
			r.t.Fatal(err)
		}
	}
}

// deliverAgain hands all events that the saga has had of the orders to it again, in any order and several at once.
func (r *ruin) deliverAgain() {
	r.t.Helper()
	ctx := app.WithService(r.t.Context(), r.Service)
	head, err := r.Service.Log.Head(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	present := make(map[string]bool)
	for _, o := range r.orders {
		present[o.ID] = true
	}
	var all []*delivery.Event
	for e, err := range r.Service.Log.ReadAll(ctx, eventstore.ReadOptions{}) {
		if err != nil {
			r.t.Fatal(err)
		}
		if present[strings.TrimPrefix(eventstore.StreamID(e.Stream), checkout.Name+"-")] {
			all = append(all, &delivery.Event{RecordedEvent: &e, MessageID: delivery.MessageID(head.Log, &e), Attempt: 2})
		}
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var workers sync.WaitGroup
	for part := range slices.Chunk(all, len(all)/8+1) {
		workers.Go(func() {
			for _, e := range part {
				// What it cannot do now somebody else does later.
				if strings.HasPrefix(e.Type, "Saga") {
					_ = r.Service.Sagas.Step(ctx, checkout.Name, e)
				} else {
					_ = r.Service.Sagas.Trigger(ctx, checkout.Name, e)
				}
			}
		})
	}
	workers.Wait()
}

// checkAll checks what orders have come to.
func (r *ruin) checkAll(happens []trouble) {
	r.t.Helper()
	var wrong []string
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) { // some services follow a moment later
		wrong = slices.DeleteFunc(r.wrong(), func(line string) bool { return strings.HasPrefix(line, "the books") })
		some := r.orders
		r.orders = append(slices.Clip(r.before), some...)
		wrong = append(wrong, r.wrongBooks()...)
		r.orders = some
		if len(wrong) == 0 || time.Now().After(end) {
			break
		}
	}
	for _, line := range wrong {
		r.broken(ruleAccounts, "after %s: %s", happens, line)
	}
	for _, o := range r.orders {
		status, mugs := r.State("order-"+o.ID).(order.Order).Status, r.State("stock-MUG "+o.ID).(stock.Stock)
		if want := ways[wayOf(o.ID)]; !slices.ContainsFunc(happens, func(t trouble) bool { return t.other }) && status != want {
			r.broken(ruleEnd, "after %s order %s is %s, want %s: %+v", happens, o.ID, status, want, r.saga(o.ID))
		}
		left := int64(0)
		if status == order.StatusShipped {
			left = 2
		}
		if mugs.OnHand+left != 5 || mugs.Reserved != 0 {
			r.broken(ruleAccounts, "after %s order %s is %s, and its article is %+v", happens, o.ID, status, mugs)
		}
		r.checkOnce(happens, o.ID)
	}
}

// checkOnce checks that what has begun in a checkout has ended once in each way that it can.
func (r *ruin) checkOnce(happens []trouble, id string) {
	r.t.Helper()
	begun, ended := make(map[string]int), make(map[string]bool)
	for version, e := range r.Events("saga-" + checkout.Name + "-" + id) {
		step := ""
		switch e := e.(type) {
		case sagas.StepScheduled:
			begun[e.Step] = version
			continue
		case sagas.CompensationScheduled:
			begun[e.Step] = version
			continue
		case sagas.StepCompleted:
			step = e.Step
		case sagas.StepFailed:
			step = e.Step
		case sagas.Compensated:
			step = e.Step
		case sagas.Received, sagas.Intervened, sagas.Started, sagas.StepDropped, sagas.CompensationBegan, sagas.CompensationFailed:
			continue
		}
		what := fmt.Sprintf("%T of %s begun by %d", e, step, begun[step])
		if ended[what] {
			r.broken(ruleOnce, "after %s order %s has %s twice: %+v", happens, id, what, r.Events("saga-"+checkout.Name+"-"+id))
		}
		ended[what] = true
	}
}
