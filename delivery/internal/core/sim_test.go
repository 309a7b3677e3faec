package core

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
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

// isMutant says that package trials runs this with a bug in the package.
var isMutant = os.Getenv("RECOUNT_TRIAL_MUTANT") != ""

// reportCaught tells package trials which rule was broken.
func reportCaught(t *testing.T, began time.Time, rule string) {
	if isMutant {
		fmt.Printf("caught\t%s\t%d\t%s\n", t.Name(), time.Since(began).Milliseconds(), rule)
	}
}

// TestPlanted breaks what the world does around the package, which others build, as the rules of the design would be broken
// without which it does not hold.
func TestPlanted(t *testing.T) {
	if isRace {
		t.Skip("one goroutine has no races")
	}
	for _, p := range plants {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(4000) {
				if v := runWorld(seed+1, p, 0); v != nil {
					t.Logf("caught in run %d: %s: %s", seed+1, v.rule, v.what)
					return
				}
			}
			t.Error("nobody notices")
		})
	}
}

// plant is a bug of what is around the package.
type plant string

const (
	epochsAgain    plant = "epochs begin anew with other partitions"
	rowsTooEarly   plant = "rows are read before the partition is taken"
	epochUnguarded plant = "moves do not compare the epoch"
	lifeUnguarded  plant = "moves do not compare the incarnation"
	adoptNothing   plant = "a restore leaves epochs and cursors"
	twoAtOnce      plant = "two transactions of a partition at once"
	barrierFirst   plant = "partitions are merged before they are at the barrier"
	splitAtRead    plant = "a new partition begins where the owner has read to"
	redefineAtOnce plant = "a new definition does not wait for attempts in flight"
	seekKeepsEpoch plant = "a seek leaves the epoch"
	staleWishes    plant = "wishes are carried out however old the rows are"
	wishesTooSoon  plant = "wishes are read while a move is under way"
	lateEffects    plant = "effects commit before the cursor moves"
)

var plants = []plant{epochsAgain, rowsTooEarly, epochUnguarded, lifeUnguarded, adoptNothing, twoAtOnce, barrierFirst, splitAtRead,
	redefineAtOnce, seekKeepsEpoch, staleWishes, wishesTooSoon, lateEffects}

// violation is a rule that was broken.
type violation struct {
	rule, what string
	seed       uint64
	trace      []string
}

func (v *violation) Error() string {
	if v == nil {
		return "nothing was broken"
	}
	return fmt.Sprintf("run %d: %s: %s\n%s", v.seed, v.rule, v.what, strings.Join(v.trace, "\n"))
}

// all is how many lines of a trace there are at most.
const all = 1 << 30

// runWorld runs a world, and keeps so many lines of what happened last.
func runWorld(seed uint64, p plant, lines int) *violation { return newWorld(seed, p, lines).run() }

// coverage counts what happened in a run.
type coverage struct {
	delivered, dead, blocked, probes, kills, freezes, takeOvers, refused, splits, merges, restores, redefined, seeks, wishes, drains, halts, expired, halves int
}

func (c *coverage) fields() []struct {
	name string
	n    *int
} {
	return []struct {
		name string
		n    *int
	}{{"delivered", &c.delivered}, {"dead", &c.dead}, {"blocked", &c.blocked}, {"probes", &c.probes}, {"kills", &c.kills}, {"freezes", &c.freezes},
		{"take-overs", &c.takeOvers}, {"refused moves", &c.refused}, {"splits", &c.splits}, {"merges", &c.merges}, {"restores", &c.restores},
		{"redefinitions", &c.redefined}, {"seeks", &c.seeks}, {"wishes", &c.wishes}, {"drains", &c.drains}, {"halts", &c.halts}, {"expired leases", &c.expired},
		{"halves of batches", &c.halves}}
}

func (c *coverage) add(o coverage) {
	to, from := c.fields(), o.fields()
	for i := range to {
		*to[i].n += *from[i].n
	}
}

func (c *coverage) String() string {
	var s []string
	for _, f := range c.fields() {
		s = append(s, fmt.Sprintf("%s %d", f.name, *f.n))
	}
	return strings.Join(s, ", ")
}

func (c *coverage) missing() string {
	var s []string
	for _, f := range c.fields() {
		if *f.n == 0 {
			s = append(s, f.name)
		}
	}
	return strings.Join(s, ", ")
}

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

// simRow is a row with what an operator wants of it.
type simRow struct {
	Row
	wanted Wish
}

type simPartition struct {
	member       int64
	epoch, life  int64
	revision     int
	cursor       int64
	readTo       int64 // while they are merged; -1: its owner has not stopped reading
	rows         map[int64]*simRow
	previousRows []Row // as they were before the last statement, for rowsTooEarly
	lastCursor   int64
}

func (p *simPartition) liveRows() []Row {
	rows := make([]Row, 0, len(p.rows))
	for _, r := range p.rows {
		rows = append(rows, r.Row)
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Position, b.Position) })
	return rows
}

// simMember is a lease. An id is given again after a restore, so it says of whom it is.
type simMember struct {
	id      int64
	process *process
	expires time.Time
}

// database is what a crash of everybody leaves.
type database struct {
	log                []simEvent
	life               int64
	epochs, ids        int64
	revision           int
	partitions         []*simPartition
	members            []simMember
	merging            bool
	barrier            int64
	effects            map[int]int  // of Serial handlers, by uid
	delivered          map[int]bool // by uid: nobody forgets it but a restore
	discarded, skipped map[int]bool
	removed            map[int]bool // those whose rows were
}

func (d *database) copy() database {
	c := *d
	c.log, c.members = slices.Clone(d.log), slices.Clone(d.members)
	c.partitions = nil
	for _, p := range d.partitions {
		q := *p
		q.rows = make(map[int64]*simRow, len(p.rows))
		for at, r := range p.rows {
			row := *r
			q.rows[at] = &row
		}
		c.partitions = append(c.partitions, &q)
	}
	copyOf := func(m map[int]bool) map[int]bool {
		n := make(map[int]bool, len(m))
		for k, v := range m {
			n[k] = v
		}
		return n
	}
	c.delivered, c.discarded, c.skipped, c.removed = copyOf(d.delivered), copyOf(d.discarded), copyOf(d.skipped), copyOf(d.removed)
	c.effects = make(map[int]int, len(d.effects))
	for k, v := range d.effects {
		c.effects[k] = v
	}
	return c
}

func (d *database) member(id int64) *simMember {
	for i := range d.members {
		if d.members[i].id == id {
			return &d.members[i]
		}
	}
	return nil
}

// process is one that delivers.
type process struct {
	member   int64 // 0: it has none
	renewed  time.Time
	frozen   time.Time // until then
	dead     bool
	b        *Breaker
	sessions []*session
}

// session is a partition in the hands of a process.
type session struct {
	process     *process
	n           int
	epoch, life int64
	revision    int
	p           *Partition
	flights     []*flight
	statement   *statement
	leaves      bool     // it drains to be given back
	wishes      []wishes // that were read
	over        bool
	began       int64 // cursor
	// owed are what each key has to get done, in order: an event begins only if nothing before it is owed.
	owed [][]int64
}

// wishes are what operators want of rows, as they were when so many moves had been made.
type wishes struct {
	rows []simRow
	asOf uint64
}

type flight struct {
	s       *session
	p       *Partition
	a       *Attempt
	kind    Kind
	items   []AttemptItem
	uids    []int
	arrived bool
	results []Result
}

// statement is a move on its way to the database.
type statement struct {
	s        *session
	move     Move
	effects  []AttemptItem
	uids     []int
	executed bool
	ok       bool
}

const (
	// simKeys are keys that anything may happen to; behind them each partition of four has one that works always once faults
	// have ended: events are blamed only where others get through.
	simKeys = 6
	allKeys = simKeys + 4
	simTTL  = 4 * time.Second
)

type landing struct {
	life, epoch, position int64
}

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

// wish is an operator's.
func (w *world) wish() {
	p := w.db.partitions[w.IntN(len(w.db.partitions))]
	rows := p.liveRows()
	if len(rows) == 0 {
		return
	}
	r := p.rows[rows[w.IntN(len(rows))].Position]
	r.wanted = RetryNow
	switch {
	case r.State == Dead && w.IntN(2) == 0:
		r.wanted = Redrive
	case w.IntN(4) == 0:
		r.wanted = Discard
	case r.State == Dead:
		r.wanted = NoWish
	}
	w.say("operator wants %d of %d", r.wanted, r.Position)
}

func (w *world) kill(p *process) {
	if p.dead {
		return
	}
	w.seen.kills++
	w.say("p%d is killed", p.member)
	for _, s := range p.sessions {
		w.end(s)
	}
	p.sessions, p.dead, p.member, p.frozen = nil, true, 0, time.Time{}
	p.b = NewBreaker(w.breaker, w.Float64)
}

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

// orphansAct lands what the dead have sent.
func (w *world) orphansAct() {
	if n := len(w.orphans); n > 0 {
		i := w.IntN(n)
		f := w.orphans[i]
		w.orphans = slices.Delete(w.orphans, i, i+1)
		w.arrive(f)
	}
	if n := len(w.letters); n > 0 {
		i := w.IntN(n)
		st := w.letters[i]
		w.letters = slices.Delete(w.letters, i, i+1)
		w.execute(st)
	}
}

func (w *world) resize() {
	d := &w.db
	switch {
	case d.merging:
		if w.IntN(2) == 0 { // it is cancelled
			d.merging, d.barrier = false, 0
			for _, p := range d.partitions {
				p.readTo = -1
			}
			w.say("merging is cancelled")
		}
	case len(d.partitions) < 4 && w.IntN(2) == 0:
		w.split()
	case len(d.partitions) > 1:
		d.merging = true
		w.say("merging begins")
		if w.plant == barrierFirst {
			w.merge()
		}
	}
}

func (w *world) split() {
	d := &w.db
	n := len(d.partitions)
	before := d.partitions
	d.partitions = make([]*simPartition, 2*n)
	for i := range d.partitions {
		old := before[i%n]
		cursor := old.cursor
		if w.plant == splitAtRead && i >= n {
			for _, p := range w.processes {
				for _, s := range p.sessions {
					if s.n == i-n && s.epoch == old.epoch {
						cursor = s.p.Read()
					}
				}
			}
		}
		d.partitions[i] = &simPartition{epoch: w.nextEpoch(nil), life: d.life, revision: old.revision, cursor: cursor, readTo: -1, rows: make(map[int64]*simRow)}
	}
	for _, old := range before {
		for i, rows := range deal(old.liveRows(), 2*n) {
			for _, r := range rows {
				d.partitions[i].rows[r.Position] = old.rows[r.Position]
			}
		}
	}
	w.seen.splits++
	w.say("split to %d", 2*n)
}

// deal returns rows by the partition of n that they belong to.
func deal(rows []Row, n int) [][]Row {
	dealt := make([][]Row, n)
	for _, r := range rows {
		i := PartitionOf(r.Key, n)
		dealt[i] = append(dealt[i], r)
	}
	return dealt
}

// merge ends the halving if all are at the barrier.
func (w *world) merge() {
	d := &w.db
	if !d.merging {
		return
	}
	var reads []int64
	for _, p := range d.partitions {
		if p.readTo < 0 && w.plant != barrierFirst {
			return
		}
		reads = append(reads, p.readTo)
	}
	if d.barrier == 0 {
		d.barrier = Barrier(reads)
		w.say("barrier %d", d.barrier)
	}
	for _, p := range d.partitions {
		if p.cursor != d.barrier && w.plant != barrierFirst {
			return
		}
	}
	n := len(d.partitions) / 2
	for i, p := range d.partitions[:n] {
		q := d.partitions[i+n]
		if w.plant == barrierFirst {
			p.cursor = max(p.cursor, q.cursor)
		}
		p.epoch, p.member, p.readTo = w.nextEpoch(nil), 0, -1
		p.revision = max(p.revision, q.revision)
		for at, r := range q.rows {
			p.rows[at] = r
		}
	}
	d.partitions = d.partitions[:n]
	d.merging, d.barrier = false, 0
	w.seen.merges++
	w.say("merged to %d", n)
}

func (w *world) seek() {
	p := w.db.partitions[w.IntN(len(w.db.partitions))]
	if len(w.db.log) == 0 || w.db.merging {
		return
	}
	to := int64(w.IntN(len(w.db.log) + 1))
	w.seen.seeks++
	w.say("seek from %d to %d, epoch %d", p.cursor, to, p.epoch)
	for i, e := range w.db.log {
		if p == w.db.partitions[w.placeOf(e.key)] {
			at := int64(i + 1)
			w.db.skipped[e.uid] = at > p.cursor && at <= to || at <= to && w.db.skipped[e.uid]
			if at > to {
				delete(w.db.effects, e.uid)
				delete(w.db.discarded, e.uid)
				delete(w.db.removed, e.uid)
			}
		}
	}
	for at := range p.rows {
		if at > to {
			delete(p.rows, at)
		}
	}
	p.cursor, p.readTo = to, -1
	if w.plant != seekKeepsEpoch {
		p.epoch, p.member = w.nextEpoch(p), 0
	}
}

func (w *world) saveOrRestore() {
	if w.backup == nil || w.IntN(2) == 0 {
		b := w.db.copy()
		w.backup = &b
		w.say("backup at %d", len(w.db.log))
		return
	}
	life := w.db.life
	w.db = w.backup.copy()
	w.seen.restores++
	w.say("restored at %d", len(w.db.log))
	if w.plant == adoptNothing {
		return
	}
	w.db.life = life + 1
	for _, p := range w.db.partitions {
		p.life, p.epoch, p.member, p.cursor = w.db.life, w.nextEpoch(p), 0, min(p.cursor, int64(len(w.db.log)))
	}
}

// arrive is when an attempt comes to the target.
func (w *world) arrive(f *flight) {
	f.arrived = true
	results := make([]Result, len(f.items))
	failedKey := make([]bool, allKeys)
	bad := -1
	for i := range f.items {
		if results[i] = w.verdict(f.s, &f.items[i], f.uids[i]); results[i].Outcome != Done && bad < 0 {
			bad = i
		}
	}
	if w.whole && len(results) > 1 {
		results = results[max(bad, 0):][:1] // all or nothing
	}
	for i := range f.items {
		it, r := &f.items[i], &results[min(i, len(results)-1)]
		// A handler does not go on with a key that failed, though it may say that it did.
		key := w.keyOf(it.Key)
		if failedKey[key] = failedKey[key] || r.Outcome != Done; failedKey[key] || w.serial {
			continue
		}
		w.take(f.s, it, f.uids[i])
		if len(results) == len(f.items) && !w.calm && w.IntN(30) == 0 {
			*r = Result{Outcome: Transient, Error: "the answer was lost"}
			failedKey[key] = true
		}
	}
	f.results = results
	w.say("%s arrives: %v", f, results)
}

func (w *world) verdict(s *session, it *AttemptItem, uid int) Result {
	key := w.keyOf(it.Key)
	e, ok := w.find(uid)
	if fence := w.fence[key]; s.life < fence.life || s.life == fence.life && s.epoch < fence.epoch {
		return Result{Outcome: Transient, Error: "an old owner"}
	}
	w.tried[uid]++
	if w.calm && key >= simKeys {
		return Result{}
	}
	mode := w.mode
	if mode == 4 && key%2 == 0 { // only some keys
		mode = 1
	}
	switch {
	case mode == 1:
		return Result{Outcome: Transient, Error: "down"}
	case mode == 2:
		return Result{Outcome: Permanent, Error: "401"}
	case mode == 3 && w.IntN(2) == 0:
		return Result{Outcome: Transient, Error: "flaky"}
	case mode == 5 && w.IntN(3) == 0:
		return Result{Outcome: Throttled, After: time.Duration(w.IntN(3000)) * time.Millisecond}
	case !ok:
		return Result{}
	case e.poison == failsOnce && w.tried[uid] == 1, e.poison == failsAlways && (!w.calm || it.Position%2 == 0):
		return Result{Outcome: Transient, Error: "poison"}
	case e.poison == failsForGood:
		return Result{Outcome: Permanent, Error: "poison"}
	case e.poison == undecodableHere && w.tried[uid] < 3:
		return Result{Outcome: Undecodable}
	case !w.calm && w.IntN(500) == 0:
		return Result{Outcome: []Outcome{Gone, Stop, Unsendable}[w.IntN(3)]}
	}
	return Result{}
}

func (w *world) find(uid int) (simEvent, bool) {
	i, ok := slices.BinarySearchFunc(w.db.log, uid, func(e simEvent, uid int) int { return cmp.Compare(e.uid, uid) })
	if !ok {
		return simEvent{}, false
	}
	return w.db.log[i], true
}

// take is when the target takes an event.
func (w *world) take(s *session, it *AttemptItem, uid int) {
	key := w.keyOf(it.Key)
	w.fence[key] = landing{life: s.life, epoch: s.epoch}
	w.db.delivered[uid] = true
	w.seen.delivered++
	if it.Redrive {
		w.redriven[uid] = true
		return
	}
	if l := w.last[key]; l.life == s.life && l.epoch == s.epoch && it.Position < l.position {
		w.violated("events of a key come in order", "%d/%s comes after %d from the same owner", it.Position, it.Key, l.position)
	}
	w.last[key] = landing{s.life, s.epoch, it.Position}
}

// execute is when a move comes to the database.
func (w *world) execute(st *statement) {
	st.executed = true
	s, m := st.s, st.move
	if s.n >= len(w.db.partitions) {
		w.seen.refused++
		return
	}
	p := w.db.partitions[s.n]
	if p.epoch != s.epoch && w.plant != epochUnguarded || (p.life != s.life || w.db.life != s.life) && w.plant != lifeUnguarded || p.cursor > m.To {
		w.seen.refused++
		w.say("the move of %s is refused", s)
		return
	}
	st.ok = true
	w.say("%s moves %d to %d, put %v, remove %v", s, m.From, m.To, positionsOf(m.Put), m.Remove)
	if w.serial {
		for i := range st.effects {
			w.effect(s, &st.effects[i], st.uids[i])
		}
	}
	p.previousRows, p.lastCursor = p.liveRows(), p.cursor
	from := p.cursor
	p.cursor = m.To
	for _, r := range m.Put {
		if r.Position > m.To {
			w.violated("nothing above a cursor has a row", "%d is written with a move to %d", r.Position, m.To)
		}
		row := p.rows[r.Position]
		if row == nil {
			if w.db.removed[w.at(r.Position).uid] {
				w.violated("what is done does not begin again", "the row of %d comes back", r.Position)
			}
			row = new(simRow)
			p.rows[r.Position] = row
		}
		row.Row = r
		row.Answered = NoWish
		if row.wanted == r.Answered {
			row.wanted = NoWish
		}
		switch r.State {
		case Dead:
			w.seen.dead++
		case Blocked:
			w.seen.blocked++
		}
	}
	for _, at := range m.Remove {
		if p.rows[at] == nil {
			continue
		}
		if e := w.at(at); !w.db.delivered[e.uid] && !w.db.discarded[e.uid] {
			w.violated("what is at or below a cursor is delivered, parked or dead", "the row of %d is removed", at)
		}
		w.db.removed[w.at(at).uid] = true
		delete(p.rows, at)
	}
	for at := from + 1; at <= min(m.To, int64(len(w.db.log))); at++ {
		e := w.at(at)
		if w.placeOf(e.key) == s.n && e.matches(s.revision) && !w.db.delivered[e.uid] && !w.db.discarded[e.uid] && p.rows[at] == nil {
			w.violated("what is at or below a cursor is delivered, parked or dead", "%s passes %d/k%d", s, at, e.key)
		}
	}
	if m.To > int64(len(w.db.log)) {
		w.violated("a cursor is in the log", "%s moves to %d of %d", s, m.To, len(w.db.log))
	}
}

// effect is that of a handler whose transaction moves the cursor.
func (w *world) effect(s *session, it *AttemptItem, uid int) {
	if w.db.effects[uid]++; w.db.effects[uid] > 1 {
		w.violated("an effect in the transaction of the cursor is there once", "%d/%s by %s", it.Position, it.Key, s)
	}
	w.take(s, it, uid)
}

func positionsOf(rows []Row) (s []string) {
	for _, r := range rows {
		s = append(s, fmt.Sprintf("%d %s", r.Position, r.State))
	}
	return s
}

func (s *session) String() string {
	return fmt.Sprintf("p%d's partition %d (epoch %d)", s.process.member, s.n, s.epoch)
}

func (f *flight) String() string {
	var at []int64
	for _, it := range f.items {
		at = append(at, it.Position)
	}
	return fmt.Sprintf("%s of %v of %s", f.kind, at, f.s)
}

// act lets a process do something.
func (w *world) act(p *process) {
	if p.dead {
		p.dead = w.IntN(10) > 0
		return
	}
	if w.now.Before(p.frozen) {
		return
	}
	if !w.renew(p) {
		return
	}
	w.maintain(p)
	if len(p.sessions) == 0 {
		return
	}
	s := p.sessions[w.IntN(len(p.sessions))]
	if s.over {
		return
	}
	switch r := w.IntN(100); {
	case r < 20:
		w.read(s)
	case r < 45:
		w.next(s)
	case r < 60:
		w.fly(s)
	case r < 75:
		w.respond(s)
	case r < 85:
		w.move(s)
	case r < 97:
		w.hear(s)
	default:
		w.carryOut(s)
	}
}

// renew keeps the lease of a process, or begins one. What it does first after it was frozen may come before.
func (w *world) renew(p *process) bool {
	if p.member != 0 && (w.now.Sub(p.renewed) < time.Second || !w.calm && w.IntN(4) == 0) {
		return true
	}
	m := w.db.member(p.member)
	if m != nil && m.process == p && m.expires.After(w.now) {
		m.expires = w.now.Add(simTTL)
		p.renewed = w.now
		return true
	}
	if p.member != 0 {
		w.seen.expired++
		w.say("p%d has lost its lease", p.member)
		w.db.members = slices.DeleteFunc(w.db.members, func(m simMember) bool { return m.process == p })
		for _, s := range p.sessions {
			w.end(s)
		}
		p.sessions, p.member = nil, 0
	}
	w.db.ids++
	p.member, p.renewed = w.db.ids, w.now
	w.db.members = append(w.db.members, simMember{p.member, p, w.now.Add(simTTL)})
	w.say("p%d joins", p.member)
	return true
}

// maintain takes what is its own, and gives back what is not.
func (w *world) maintain(p *process) {
	members := make([]Member, 0, len(w.db.members))
	for _, m := range w.db.members {
		if m.expires.After(w.now) {
			members = append(members, Member{ID: m.id, CanRun: []string{"x"}})
		}
	}
	for i := 0; i < len(p.sessions); i++ {
		s := p.sessions[i]
		if s.over {
			p.sessions = slices.Delete(p.sessions, i, i+1)
			i--
			continue
		}
		owner, _ := Assign(members, "x", 1, s.n)
		if s.n < len(w.db.partitions) && (w.calm || w.IntN(100) == 0) && w.fenced(s) { // one looks every ten seconds
			w.end(s)
			continue
		}
		switch {
		case s.p.Halted() != nil:
			w.seen.halts++
			w.giveBack(s)
		case s.n >= len(w.db.partitions):
			if w.IntN(10) == 0 || w.calm {
				w.end(s)
			}
		case s.leaves:
			if s.p.Drained() && s.statement == nil && s.p.Pending() == 0 {
				w.nothingFlies(s)
				w.giveBack(s)
			}
		case owner != p.member && w.IntN(5) == 0:
			s.leaves = true
			s.p.Drain()
			w.seen.drains++
			w.say("%s drains", s)
		case w.db.partitions[s.n].revision < w.db.revision && (!w.db.merging || s.p.draining):
			s.redefine(w)
		}
	}
	for n, q := range w.db.partitions {
		owner, _ := Assign(members, "x", 1, n)
		has := slices.ContainsFunc(p.sessions, func(s *session) bool { return s.n == n && !s.over })
		if q.member == p.member && !has { // it lost it in memory only: nobody else would take it
			q.member = 0
		}
		if owner != p.member || has {
			continue
		}
		if m := w.db.member(q.member); q.member == 0 || q.member == p.member || m == nil || !m.expires.After(w.now) {
			w.takePartition(p, n)
		}
	}
}

// fenced reports whether the epoch of a session is not that of its partition any more.
func (w *world) fenced(s *session) bool {
	q := w.db.partitions[s.n]
	return q.epoch != s.epoch || q.life != s.life || w.db.life != s.life
}

// nothingFlies looks at a session that is drained: what is in flight would be repeated.
func (w *world) nothingFlies(s *session) {
	for _, f := range s.flights {
		if !f.a.stuck && w.plant != redefineAtOnce {
			w.violated("a handover repeats nothing", "%s is in flight", f)
		}
	}
}

// redefine drains a partition, and goes on with the new revision.
func (s *session) redefine(w *world) {
	if w.plant != redefineAtOnce {
		s.p.Drain()
		if !s.p.Drained() || s.statement != nil || s.p.Pending() > 0 || s.p.frontier() != s.p.Cursor() {
			return
		}
	}
	w.nothingFlies(s)
	if len(s.flights) > 0 && w.plant != redefineAtOnce { // stuck: a new epoch tells it from what comes
		w.giveBack(s)
		return
	}
	q := w.db.partitions[s.n]
	if w.fenced(s) || q.cursor != s.p.Cursor() {
		return // it will notice
	}
	q.revision = w.db.revision
	next := w.session(s.process, s.n, q.liveRows())
	if w.plant == redefineAtOnce {
		next.flights, s.flights = s.flights, nil
		for _, f := range next.flights {
			f.s = next
		}
	}
	s.over = true
	s.process.sessions = append(s.process.sessions, next)
	w.say("%s goes on with revision %d", next, next.revision)
}

// giveBack frees the partition of a session if it has it.
func (w *world) giveBack(s *session) {
	w.say("%s is given back", s)
	if s.n < len(w.db.partitions) {
		if q := w.db.partitions[s.n]; q.epoch == s.epoch && q.life == s.life {
			q.member = 0
		}
	}
	w.end(s)
}

func (w *world) takePartition(p *process, n int) {
	q := w.db.partitions[n]
	rows := q.liveRows()
	if w.plant == rowsTooEarly && q.lastCursor == q.cursor && q.previousRows != nil {
		rows = q.previousRows
	}
	if q.member != 0 && q.member != p.member {
		w.seen.takeOvers++
	}
	q.member, q.epoch = p.member, w.nextEpoch(q)
	p.sessions = append(p.sessions, w.session(p, n, rows))
	w.say("p%d takes partition %d at %d, epoch %d, rows %v", p.member, n, q.cursor, q.epoch, positionsOf(rows))
}

func (w *world) session(p *process, n int, rows []Row) *session {
	q := w.db.partitions[n]
	s := &session{process: p, n: n, epoch: q.epoch, life: w.db.life, revision: q.revision, p: NewPartition(w.conf, p.b, q.cursor, rows),
		began: q.cursor, owed: make([][]int64, allKeys)}
	for _, r := range rows {
		if r.State != Dead || w.conf.Hold {
			key := w.keyOf(r.Key)
			s.owed[key] = append(s.owed[key], r.Position)
		}
	}
	return s
}

// read offers a page.
func (w *world) read(s *session) {
	if w.db.life != s.life && w.plant != adoptNothing && w.plant != lifeUnguarded { // a connection is used after its identity check
		w.end(s)
		return
	}
	s.p.Trim()
	from := s.p.Read() + 1
	if w.IntN(3) == 0 { // a page that others asked for
		from = max(1, s.p.Cursor()-int64(w.IntN(3)))
	}
	to := min(from+int64(w.IntN(20)), int64(len(w.db.log)))
	if s.n < len(w.db.partitions) && w.db.merging {
		q := w.db.partitions[s.n]
		switch {
		case w.db.barrier > 0:
			s.p.ReadTo(w.db.barrier)
		case q.readTo < 0 && q.epoch == s.epoch && q.life == s.life:
			q.readTo = s.p.Read()
			s.p.ReadTo(q.readTo)
		case q.readTo >= 0:
			s.p.ReadTo(q.readTo)
		}
		w.merge()
	} else {
		s.p.ReadTo(1 << 62)
	}
	was := s.p.Read()
	if from > was+1 || to < from {
		return
	}
	var items []Item
	for at := from; at <= to; at++ {
		if e := w.at(at); w.placeOf(e.key) == s.n && e.matches(s.revision) {
			items = append(items, Item{Position: at, Key: w.names[e.key], Size: 1})
		}
	}
	s.p.Offer(items, to)
	for _, it := range items {
		if it.Position > was && it.Position <= s.p.Read() {
			key := w.keyOf(it.Key)
			s.owed[key] = append(s.owed[key], it.Position)
		}
	}
	if used := s.p.used(); used > w.conf.Window {
		w.violated("a window is bounded", "%d of %d", used, w.conf.Window)
	}
	bytes := 0
	for i := s.p.window.head; i < s.p.window.tail; i++ {
		if s.p.window.at(i).state == fresh {
			bytes++
		}
	}
	if bytes != s.p.bytes || w.conf.WindowBytes > 0 && bytes > w.conf.WindowBytes {
		w.violated("a window is bounded", "%d bytes of %d, it counts %d", bytes, w.conf.WindowBytes, s.p.bytes)
	}
}

func (w *world) next(s *session) bool {
	if w.now.After(s.process.renewed.Add(simTTL - time.Second)) {
		return false // by its own clock
	}
	a, ok := s.p.Next(w.now)
	if !ok {
		return false
	}
	f := &flight{s: s, p: s.p, a: a, kind: a.Kind, items: slices.Clone(a.Items)}
	if !slices.IsSortedFunc(f.items, func(a, b AttemptItem) int { return cmp.Compare(a.Position, b.Position) }) {
		w.violated("a batch is in order", "%v", positions(f.items))
	}
	for _, it := range f.items {
		f.uids = append(f.uids, w.uidOf(s, it.Position))
		key := w.keyOf(it.Key)
		for _, other := range s.flights {
			if slices.ContainsFunc(other.items, func(o AttemptItem) bool { return o.Key == it.Key }) {
				w.violated("a key is in one attempt at a time", "%d/%s begins while %s", it.Position, it.Key, other)
			}
		}
		for _, owed := range s.owed[key] {
			if owed < it.Position && !slices.ContainsFunc(f.items, func(o AttemptItem) bool { return o.Position == owed }) {
				w.violated("an event waits for those of its key before it", "%d/%s begins before %d", it.Position, it.Key, owed)
			}
		}
		if !slices.Contains(s.owed[key], it.Position) {
			w.violated("what is done does not begin again", "%d/%s", it.Position, it.Key)
		}
	}
	if len(s.flights) >= w.conf.MaxInFlight || w.conf.Serial && len(s.flights) > 0 {
		w.violated("attempts are bounded", "%d are in flight", len(s.flights)+1)
	}
	if a.Kind == Probe {
		w.seen.probes++
	}
	if a.split != nil {
		w.seen.halves++
	}
	s.flights = append(s.flights, f)
	w.say("%s begins", f)
	return true
}

// uidOf returns the event that a session has read at a position, which another life may have another for.
func (w *world) uidOf(s *session, position int64) int {
	if s.life != w.db.life || position > int64(len(w.db.log)) {
		return -int(position)
	}
	return w.at(position).uid
}

func (w *world) fly(s *session) {
	for _, f := range s.flights {
		if !f.arrived && (w.calm || w.IntN(3) > 0) {
			w.arrive(f)
			return
		}
		if !w.calm && w.IntN(20) == 0 {
			s.p.Stuck(f.a)
		}
	}
}

// respond is when a process learns what the target said.
func (w *world) respond(s *session) {
	i := slices.IndexFunc(s.flights, func(f *flight) bool { return f.arrived })
	if i < 0 || w.serial && s.statement != nil {
		return
	}
	f := s.flights[i]
	s.flights = slices.Delete(s.flights, i, i+1)
	wasRow := s.p.rows[f.items[0].Position] != nil
	f.p.Ended(w.now, f.a, f.results)
	if ev := s.p.rows[f.items[0].Position]; f.kind == Probe && ev != nil && ev.state == parked && !wasRow && !s.p.draining {
		w.violated("a probe that fails changes nothing", "%s has a row", f)
	}
	var st statement
	failed := make([]bool, allKeys)
	for i, it := range f.items {
		key := w.keyOf(it.Key)
		r := f.results[min(i, len(f.results)-1)]
		ev := s.p.rows[it.Position]
		if ev != nil && ev.state == dead && len(f.results) < len(f.items) {
			w.violated("an event dies of an attempt of its own", "%d/%s dies of %s", it.Position, it.Key, f)
		}
		died := ev != nil && ev.state == dead && !w.conf.Hold
		discarded := ev == nil && w.db.discarded[f.uids[i]]
		if failed[key] = failed[key] || r.Outcome != Done; !failed[key] {
			st.effects, st.uids = append(st.effects, it), append(st.uids, f.uids[i])
		}
		if !failed[key] || died || discarded {
			s.owed[key] = slices.DeleteFunc(s.owed[key], func(at int64) bool { return at == it.Position })
		}
	}
	w.say("%s ended, rows %d", f, s.p.parked)
	if !w.serial || len(st.effects) == 0 {
		return
	}
	m, ok := s.p.Move()
	if !ok && w.plant == twoAtOnce {
		for i := range st.effects {
			w.effect(s, &st.effects[i], st.uids[i])
		}
		return
	}
	if !ok && !s.p.lost {
		w.violated("an effect in the transaction of the cursor is there once", "%s has no move for %v", s, positions(st.effects))
	}
	if ok {
		st.s, st.move = s, m
		w.send(&st)
		if w.plant == lateEffects {
			for i := range st.effects {
				w.effect(s, &st.effects[i], st.uids[i])
			}
			st.effects = nil
		}
	}
}

func positions(items []AttemptItem) (at []int64) {
	for _, it := range items {
		at = append(at, it.Position)
	}
	return at
}

func (w *world) move(s *session) {
	if s.statement != nil {
		return
	}
	if m, ok := s.p.Move(); ok {
		w.send(&statement{s: s, move: m})
	}
}

// send lets a statement be on its way, while which somebody may read what it changes.
func (w *world) send(st *statement) {
	st.s.statement = st
	if w.IntN(2) == 0 {
		w.readWishes(st.s)
	}
}

// hear lets a statement execute, or its answer come, or get lost.
func (w *world) hear(s *session) {
	st := s.statement
	switch {
	case st == nil:
	case !st.executed:
		w.execute(st)
	default:
		s.statement = nil
		if !w.calm && w.IntN(40) == 0 { // the connection is lost
			s.p.Moved(st.move, false)
			w.giveBack(s)
			return
		}
		s.p.Moved(st.move, st.ok)
		if !st.ok {
			w.say("%s is lost", s)
			w.end(s)
		}
	}
}

// carryOut reads what operators want, or carries it out.
func (w *world) carryOut(s *session) bool {
	if len(s.wishes) == 0 || len(s.wishes) < 3 && w.IntN(2) == 0 {
		return w.readWishes(s)
	}
	i := w.IntN(len(s.wishes))
	read := s.wishes[i]
	s.wishes = slices.Delete(s.wishes, i, i+1)
	for _, r := range read.rows {
		asOf := read.asOf
		if w.plant == staleWishes && !s.p.moving {
			asOf = s.p.Moves()
		}
		ev := s.p.rows[r.Position]
		flying := ev != nil && ev.flying
		if !s.p.Want(w.now, asOf, r.Row, r.wanted) || s.p.stopped() || s.p.draining {
			continue
		}
		w.seen.wishes++
		w.say("%s carries out %d of %d", s, r.wanted, r.Position)
		key := w.keyOf(r.Key)
		is := s.p.rows[r.Position]
		switch {
		case r.wanted == Discard:
			w.db.discarded[w.uidOf(s, r.Position)] = true
			if !flying {
				s.owed[key] = slices.DeleteFunc(s.owed[key], func(at int64) bool { return at == r.Position })
			}
		case is != nil && is.state != dead && w.db.removed[w.uidOf(s, r.Position)]:
			w.violated("what is done does not begin again", "%d/%s is revived", r.Position, r.Key)
		case is != nil && is.state != dead && !slices.Contains(s.owed[key], r.Position):
			s.owed[key] = append(s.owed[key], r.Position)
		}
	}
	return true
}

// readWishes reads what operators want of rows, and reports whether there is anything.
func (w *world) readWishes(s *session) bool {
	if s.n >= len(w.db.partitions) || w.db.life != s.life {
		return false
	}
	asOf := s.p.AsOf()
	if w.plant == wishesTooSoon {
		asOf = s.p.Moves()
	}
	q, read := w.db.partitions[s.n], wishes{asOf: asOf}
	for _, r := range q.liveRows() {
		if q.rows[r.Position].wanted != NoWish {
			read.rows = append(read.rows, *q.rows[r.Position])
		}
	}
	if len(read.rows) > 0 {
		s.wishes = append(s.wishes, read)
	}
	return len(read.rows) > 0
}

// settle ends the faults, and waits until all is done.
func (w *world) settle() {
	w.calm, w.mode = true, 0
	w.say("faults have ended")
	for _, p := range w.processes {
		p.dead, p.frozen = false, time.Time{}
	}
	for len(w.orphans)+len(w.letters) > 0 {
		w.orphansAct()
	}
	for round := range 1500 {
		if round%10 == 0 && round < 300 {
			for key := simKeys; key < allKeys; key++ {
				w.appendEvent(key)
			}
		}
		if w.conf.Hold && round%10 == 5 { // nothing else lets go of a key
			for _, p := range w.db.partitions {
				for _, r := range p.rows {
					if r.State == Dead {
						r.wanted = Discard
					}
				}
			}
		}
		did := false
		for _, p := range w.processes {
			w.renew(p)
			w.maintain(p)
			for _, s := range p.sessions {
				if s.over {
					continue
				}
				w.steps += 5
				w.read(s)
				for w.next(s) {
					did = true
				}
				for range s.flights {
					w.fly(s)
					w.respond(s)
					if w.serial {
						w.hear(s)
						w.hear(s)
					}
				}
				w.move(s)
				w.hear(s)
				w.hear(s)
				if w.carryOut(s) {
					did = true
				}
			}
		}
		if round > 20 && w.settled() {
			w.judge()
			return
		}
		w.now = w.now.Add(300 * time.Millisecond)
		if round > 200 {
			w.now = w.now.Add(3 * time.Second) // some wait for their age
		}
		if !did && round%5 == 4 {
			var at time.Time
			for _, p := range w.processes {
				for _, s := range p.sessions {
					if t, ok := s.p.Wake(); ok && !s.over && t.After(w.now) && (at.IsZero() || t.Before(at)) {
						at = t
					}
				}
			}
			if !at.IsZero() {
				w.now = at
				for _, p := range w.processes { // time passes for nobody meanwhile
					p.renewed = w.now
					if m := w.db.member(p.member); m != nil && m.process == p {
						m.expires = w.now.Add(simTTL)
					}
				}
			}
		}
	}
	var what []string
	for n, p := range w.db.partitions {
		what = append(what, fmt.Sprintf("partition %d of %d at %d of %d, merging %v to %d, rows %v", n, p.member, p.cursor, len(w.db.log), w.db.merging, w.db.barrier, positionsOf(p.liveRows())))
	}
	what = append(what, fmt.Sprintf("members %v", w.db.members))
	for _, p := range w.processes {
		for _, s := range p.sessions {
			at, ok := s.p.Wake()
			what = append(what, fmt.Sprintf("%s %+v wakes %v %v breaker %+v", s, s.p.Status(), at.Sub(w.now), ok, p.b.Status()))
		}
	}
	w.violated("everything settles", "%s", strings.Join(what, "\n"))
}

func (w *world) settled() bool {
	if w.db.merging {
		return false
	}
	for _, p := range w.db.partitions {
		if p.cursor != int64(len(w.db.log)) || p.revision != w.db.revision {
			return false
		}
		for _, r := range p.rows {
			if r.wanted != NoWish || r.State != Dead {
				return false
			}
		}
	}
	return true
}

// judge looks at what has become of everything.
func (w *world) judge() {
	newest := make([]int64, allKeys)
	for i, e := range w.db.log {
		at := int64(i + 1)
		p := w.db.partitions[w.placeOf(e.key)]
		if p.rows[at] != nil || !e.matchesAll(w.db.revision) || w.db.skipped[e.uid] || w.db.discarded[e.uid] {
			continue
		}
		if !w.db.delivered[e.uid] {
			w.violated("what is at or below a cursor is delivered, parked or dead", "nothing has become of %d/k%d", at, e.key)
		}
		if !w.redriven[e.uid] {
			newest[e.key] = at
		}
	}
	for key, at := range newest {
		if l := w.last[key]; l.life == w.db.life && l.position < at && l.position > 0 {
			w.violated("the last that a target has of a key is the newest", "k%d ends with %d, %d was before", key, l.position, at)
		}
	}
}
