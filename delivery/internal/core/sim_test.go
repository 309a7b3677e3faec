package core

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	simSteps = flag.Int("core.steps", 0, "how many steps TestSimulation makes (0: 5,000,000, 300,000 if short or with the race detector)")
	simSeed  = flag.Uint64("core.seed", 0, "the only run of TestSimulation (0: all)")
)

// TestSimulation runs worlds of a few processes that share a subscription, and breaks whatever can break. What must
// never happen is in the calls of violated; package trials puts bugs into the package and sees that it notices.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		if v := runWorld(*simSeed, "", all); v != nil {
			t.Fatal(v)
		}
		return
	}
	limit := 5_000_000
	switch {
	case *simSteps > 0:
		limit = *simSteps
	case testing.Short() || isRace:
		limit = 300_000
	case isMutant:
		limit = 1_500_000
	}
	var steps, seeds atomic.Int64
	var seen coverage
	var mu sync.Mutex
	began, broken := time.Now(), make(map[string]bool)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			// With a bug in the package it goes on, to see which rules it breaks.
			for steps.Load() < int64(limit) && (isMutant || !t.Failed()) {
				w := newWorld(uint64(seeds.Add(1)), "", 0)
				v := w.run()
				steps.Add(int64(w.steps))
				mu.Lock()
				seen.add(w.seen)
				if v != nil && !broken[v.rule] {
					broken[v.rule] = true
					reportCaught(t, began, v.rule)
					t.Errorf("%v\nAll of it: go test ./delivery/internal/core -run TestSimulation -core.seed %d", runWorld(w.seed, "", 60), w.seed)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	t.Logf("%d steps in %d runs: %s", steps.Load(), seeds.Load(), &seen)
	if missing := seen.missing(); missing != "" && !t.Failed() {
		t.Errorf("in no run was there: %s", missing)
	}
}

// runWorld runs a world, and keeps so many lines of what happened last.
func runWorld(seed uint64, p plant, lines int) *violation { return newWorld(seed, p, lines).run() }

// poison is what is wrong with an event.
type poison uint8

const (
	fine poison = iota
	failsOnce
	failsAlways
	failsForGood
	undecodableHere
)

type simEvent struct {
	uid    int
	key    int
	salt   uint32 // which revisions of the filter match
	poison poison
}

func (e simEvent) matches(revision int) bool { return e.salt>>(revision%8)&1 == 1 }

// matchesAll reports whether it matches all revisions up to one.
func (e simEvent) matchesAll(revision int) bool {
	for r := range min(revision, 7) + 1 {
		if !e.matches(r) {
			return false
		}
	}
	return true
}

const (
	// simKeys are keys that anything may happen to; behind them each partition of four has one that works always once faults
	// have ended: events are blamed only where others get through.
	simKeys = 6
	allKeys = simKeys + 4
	simTTL  = 4 * time.Second
)

type world struct {
	*rand.Rand
	seed    uint64
	plant   plant
	lines   int
	trace   []string
	steps   int
	seen    coverage
	now     time.Time
	conf    Config
	serial  bool // transactional
	whole   bool // the handler cannot say which item failed
	breaker int
	names   []string
	place   [][]int // by log2 of the number of partitions, by key
	backup  *database
	db      database
	uid     int

	processes []*process
	orphans   []*flight    // of processes that are dead
	letters   []*statement // of processes that are dead

	mode      int // of the target
	modeUntil time.Time
	fence     []landing // the newest owner that the target has seen, by key
	last      []landing // the last that it took, by key
	tried     map[int]int
	redriven  map[int]bool
	calm      bool // faults have ended
}

func newWorld(seed uint64, p plant, lines int) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1)), seed: seed, plant: p, lines: lines, now: begin,
		fence: make([]landing, allKeys), last: make([]landing, allKeys), tried: make(map[int]int), redriven: make(map[int]bool)}
	pick := func(of ...int) int { return of[w.IntN(len(of))] }
	w.conf = Config{MaxInFlight: pick(1, 2, 3, 8), MaxParked: pick(2, 10, 100), Window: pick(2, 5, 20, 100), WindowBytes: pick(0, 2, 10), MaxEvents: pick(1, 1, 2, 5),
		Wait:  time.Duration(pick(0, 0, 500)) * time.Millisecond,
		Retry: Retry{MaxAttempts: pick(1, 2, 4), MaxAge: time.Duration(pick(5, 60, 600)) * time.Second, First: 500 * time.Millisecond, Cap: 4 * time.Second, Factor: 2},
		Hold:  w.IntN(3) == 0, Bisect: w.IntN(2) == 0, Serial: w.IntN(4) == 0, Random: w.Float64}
	w.serial, w.whole, w.breaker = w.conf.Serial, w.IntN(3) == 0, pick(2, 3, 5)
	if p == twoAtOnce {
		w.conf.Serial = false
	}
	for i := range allKeys {
		letter := 'k'
		for i >= simKeys && PartitionOf(fmt.Sprintf("%c%d", letter, i), 4) != i-simKeys {
			letter++
		}
		w.names = append(w.names, fmt.Sprintf("%c%d", letter, i))
	}
	for n := range 3 {
		var places []int
		for _, name := range w.names {
			places = append(places, PartitionOf(name, 1<<n))
		}
		w.place = append(w.place, places)
	}
	w.db = database{life: 1, effects: make(map[int]int), delivered: make(map[int]bool), discarded: make(map[int]bool), skipped: make(map[int]bool), removed: make(map[int]bool)}
	for range pick(1, 1, 2, 4) {
		w.db.partitions = append(w.db.partitions, &simPartition{epoch: w.nextEpoch(nil), life: 1, readTo: -1, rows: make(map[int64]*simRow)})
	}
	for range pick(1, 2, 3) {
		w.processes = append(w.processes, &process{b: NewBreaker(w.breaker, w.Float64)})
	}
	return w
}

// nextEpoch gives an epoch to a partition, which may be nil.
func (w *world) nextEpoch(p *simPartition) int64 {
	if w.plant == epochsAgain {
		if p == nil {
			return 1
		}
		return p.epoch + 1
	}
	w.db.epochs++
	return w.db.epochs
}

func (w *world) placeOf(key int) int {
	n := 0
	for 1<<n < len(w.db.partitions) {
		n++
	}
	return w.place[n][key]
}

func (w *world) say(format string, args ...any) {
	if w.lines > 0 {
		w.trace = append(w.trace, fmt.Sprintf("%8.2fs ", w.now.Sub(begin).Seconds())+fmt.Sprintf(format, args...))
	}
}

func (w *world) violated(rule, format string, args ...any) {
	panic(&violation{rule: rule, what: fmt.Sprintf(format, args...), seed: w.seed, trace: w.trace[max(0, len(w.trace)-w.lines):]})
}

func (w *world) run() (v *violation) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *violation:
			v = r
		default:
			if w.lines == all {
				panic(r)
			}
			v = &violation{rule: "it does not panic", what: fmt.Sprint(r), seed: w.seed}
		}
	}()
	w.say("%+v serial %v whole %v breaker %d processes %d", w.conf, w.serial, w.whole, w.breaker, len(w.processes))
	for range 300 + w.IntN(900) {
		w.steps++
		w.step()
	}
	w.settle()
	return nil
}

// step does something anywhere.
func (w *world) step() {
	w.now = w.now.Add(time.Duration(w.IntN(60)) * time.Millisecond)
	if w.IntN(200) == 0 {
		w.now = w.now.Add(time.Duration(w.IntN(10_000)) * time.Millisecond)
	}
	switch r := w.IntN(1000); {
	case r < 100:
		w.appendEvent(w.IntN(simKeys))
	case r < 110:
		w.mode, w.modeUntil = w.IntN(6), w.now.Add(time.Duration(w.IntN(20_000))*time.Millisecond)
	case r < 118:
		w.wish()
	case r < 122:
		w.kill(w.processes[w.IntN(len(w.processes))])
	case r < 126:
		if p := w.processes[w.IntN(len(w.processes))]; !p.dead {
			p.frozen = w.now.Add(time.Duration(w.IntN(15_000)) * time.Millisecond)
			w.seen.freezes++
			w.say("p%d freezes", p.member)
		}
	case r < 129:
		w.resize()
	case r < 131:
		w.db.revision++
		w.seen.redefined++
		w.say("revision %d", w.db.revision)
	case r < 133:
		w.seek()
	case r < 135:
		w.saveOrRestore()
	case r < 160:
		w.orphansAct()
	default:
		w.act(w.processes[w.IntN(len(w.processes))])
	}
	if w.mode != 0 && w.now.After(w.modeUntil) {
		w.mode = 0
	}
}

func (w *world) appendEvent(key int) {
	w.uid++
	e := simEvent{uid: w.uid, key: key, salt: w.Uint32() | w.Uint32() | w.Uint32()}
	switch r := w.IntN(20); {
	case w.calm:
		e.salt = 0xff
	case r == 0:
		e.poison = failsForGood
	case r == 1:
		e.poison = failsAlways
	case r < 4:
		e.poison = failsOnce
	case r == 4 && w.IntN(5) == 0:
		e.poison = undecodableHere
	}
	w.db.log = append(w.db.log, e)
	w.say("append %d/k%d poison %d salt %02x", len(w.db.log), key, e.poison, e.salt&0xff)
}

// at returns the event at a position of the log as it is now.
func (w *world) at(position int64) simEvent { return w.db.log[position-1] }

func (w *world) keyOf(name string) int { return int(name[1] - '0') }

// end ends a session whose partition is not given back: what is under way lands, or does not.
func (w *world) end(s *session) {
	if s.over {
		return
	}
	s.over = true
	s.p.Lose()
	if s.statement != nil && !s.statement.executed && w.IntN(2) == 0 {
		w.letters = append(w.letters, s.statement)
	}
	for _, f := range s.flights {
		if !f.arrived && !w.serial && w.IntN(2) == 0 {
			w.orphans = append(w.orphans, f)
		}
	}
	s.flights, s.statement = nil, nil
}
