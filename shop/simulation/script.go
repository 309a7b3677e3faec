package simulation

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/shop/onlineretail"
	"github.com/57528e99/recount/shop/sample"
)

// script is what happens, by the number of the order.
type script struct {
	seed uint64
	// made are orders that were made up; those of higher numbers begin anew.
	made []onlineretail.Invoice
	// demand is how many units of an article are wanted for each order on average.
	demand map[string]float64
}

func newScript(seed uint64) (*script, error) {
	var file bytes.Buffer
	if err := sample.Generate(&file, sample.Config{Seed: seed, Orders: 500, Articles: 60, MaxLines: 4}); err != nil {
		return nil, fmt.Errorf("make orders up: %w", err)
	}
	book, err := onlineretail.Read(&file)
	if err != nil {
		return nil, fmt.Errorf("read made-up orders: %w", err)
	}
	s := &script{seed: seed, demand: make(map[string]float64)}
	for _, v := range book.Invoices {
		if v.Kind == onlineretail.Order {
			s.made = append(s.made, v)
		}
	}
	for _, v := range s.made {
		for _, l := range v.Lines {
			s.demand[l.SKU] += float64(l.Quantity) / float64(len(s.made))
		}
	}
	return s, nil
}

// fate is what becomes of an order, if all goes well with it until then.
type fate struct {
	// cancels: the customer does, after a while. waits: nobody sends it. isLost: the parcel is. returns: some of it comes back.
	cancels, waits, isLost, returns bool
	// breaks: somebody in the warehouse breaks one of its articles.
	breaks bool
	// hesitates, packs and travels are how long it takes until the order is cancelled, sent, and there.
	hesitates, packs, travels time.Duration
}

// draws are of the order with a number, for one purpose each.
func (s *script) draws(purpose, n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed^purpose<<56, n))
}

const (
	forFate = iota + 1
	forMoney
	forSupplies
)

func (s *script) fate(n uint64) (f fate) {
	rng := s.draws(forFate, n)
	switch share := rng.Float64(); {
	case share < .08:
		f.cancels = true
	case share < .10:
		f.waits = true
	case share < .12:
		f.isLost = true
	case share < .20:
		f.returns = true
	}
	f.breaks = rng.Float64() < .02
	upTo := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }
	f.hesitates, f.packs, f.travels = upTo(3*time.Second), upTo(3*time.Second), upTo(3*time.Second)
	return f
}

// order returns what the customer with a number orders. Its total decides what the gateway does, see simulator.ByAmount.
func (s *script) order(n uint64, id string, now time.Time) order.Place {
	made := s.made[n%uint64(len(s.made))]
	o := order.Place{ID: id, CustomerID: made.CustomerID, Country: made.Country, Currency: "GBP", Lines: append([]goods.Line{}, made.Lines...), At: now}
	if made.CustomerID != nil {
		email := "customer-" + *made.CustomerID + "@example.com"
		o.Email = &email
	}
	first := &o.Lines[0]
	first.Quantity = 1
	rng := s.draws(forMoney, n)
	switch share := rng.Float64(); {
	case share < .02: // free
		for i := range o.Lines {
			o.Lines[i].UnitPriceMinor = 0
		}
	case share < .16:
		endIn(&o, 91+[...]int64{0, 0, 1, 2, 3, 4, 5}[rng.IntN(7)])
	default:
		endIn(&o, rng.Int64N(91))
	}
	return o
}

// endIn changes the price of the first line, of which there is one unit, so that the total ends in two digits.
func endIn(o *order.Place, digits int64) {
	var total int64
	for _, l := range o.Lines {
		total += l.Quantity * l.UnitPriceMinor
	}
	o.Lines[0].UnitPriceMinor += (digits - total%100 + 100) % 100
}

// lines are those of the order with a number, without the prices that it is given.
func (s *script) lines(n uint64) []goods.Line { return s.made[n%uint64(len(s.made))].Lines }

// supply says when an article is ordered from its supplier, how much, and how long that takes.
func (s *script) supply(sku string, rate float64, n uint64) (below, quantity int64, takes time.Duration) {
	perSecond := s.demand[sku] * rate
	rng := s.draws(forSupplies, n)
	return 1 + int64(8*perSecond), 5 + int64(30*perSecond), time.Second + time.Duration(rng.Int64N(int64(12*time.Second)))
}

const prefix = "sim-"

// idOf returns the id of an order.
func idOf(run string, n uint64) string { return prefix + run + "-" + strconv.FormatUint(n, 10) }

// numberOf returns the run and the number of an order; false: it is not made up here.
func numberOf(id string) (run string, n uint64, ok bool) {
	rest, ok := strings.CutPrefix(id, prefix)
	dash := strings.LastIndexByte(rest, '-')
	if !ok || dash < 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(rest[dash+1:], 10, 64)
	return rest[:dash], n, err == nil
}
