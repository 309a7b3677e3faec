package delivery

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
)

// modelRow is a row as the model has it; times are numbers of steps.
type modelRow struct {
	Position         int64
	Key              string
	State            rowState
	Attempts         int
	Charged          int
	token            uuid.UUID
	leasedAt, lastAt int
	failed, due      bool
}

// pullModel says what becomes of the rows of a subscription that is pulled, one thing after another.
type pullModel struct {
	perKey, maxAttempts int
	hold                bool
	step                int
	log                 []string // keys, by position - 1
	filled              int64
	rows                []*modelRow // by position
	acks                []modelRow  // key and leasedAt
}

func (m *pullModel) at(position int64) *modelRow {
	for _, r := range m.rows {
		if r.Position == position {
			return r
		}
	}
	return nil
}

// line returns the rows of a key that are not dead, and whether it is held by a dead one.
func (m *pullModel) line(key string) (line []*modelRow, held bool) {
	for _, r := range m.rows {
		switch {
		case r.Key == key && r.State != dead:
			line = append(line, r)
		case r.Key == key:
			held = m.hold
		}
	}
	return line, held
}

func (m *pullModel) free(keys ...string) {
	for _, key := range keys {
		if line, held := m.line(key); len(line) > 0 && line[0].State == blocked && !held {
			line[0].State = ready
		}
	}
}

func (m *pullModel) worked(key string, since int) bool {
	return slices.ContainsFunc(m.acks, func(a modelRow) bool { return a.Key != key && a.leasedAt > since })
}

func (m *pullModel) lease(r *modelRow, token uuid.UUID) {
	r.State, r.token, r.leasedAt, r.due = leased, token, m.step, false
	r.Attempts++
}

// serve hands out what is ready to one who wants n.
func (m *pullModel) serve(n int, token uuid.UUID) (got []int64) {
	heads := max(n/m.perKey, 1)
	for _, r := range slices.Clone(m.rows) {
		if r.State != ready || heads == 0 {
			continue
		}
		heads--
		line, _ := m.line(r.Key)
		for i, next := range line[:min(len(line), min(m.perKey, n))] {
			if i > 0 && next.State != blocked {
				break
			}
			m.lease(next, token)
			got = append(got, next.Position)
		}
	}
	slices.Sort(got)
	return got
}

// fill takes what is in the log up to a position; who wants n gets the first of keys that have nothing.
func (m *pullModel) fill(upto int64, n int, token uuid.UUID) (got []int64) {
	for ; m.filled < upto; m.filled++ {
		r := &modelRow{Position: m.filled + 1, Key: m.log[m.filled], State: blocked}
		line, held := m.line(r.Key)
		m.rows = append(m.rows, r)
		if len(line) > 0 || held {
			continue
		}
		if r.State = ready; m.perKey == 1 && len(got) < n {
			m.lease(r, token)
			got = append(got, r.Position)
		}
	}
	return got
}

// fails lets a row fail that goes on as next, unless it is dead.
func (m *pullModel) fails(r *modelRow, charged, permanent bool, next rowState) {
	r.State, r.token, r.due, r.failed, r.lastAt = next, uuid.Nil, false, true, m.step
	if charged {
		r.Charged++
	}
	if permanent || charged && r.Charged >= m.maxAttempts {
		r.State = dead
	}
}

// takeBack takes back what somebody has of the key behind a row.
func (m *pullModel) takeBack(r *modelRow) {
	for _, other := range m.rows {
		if other.Key == r.Key && other.Position > r.Position && other.State == leased {
			other.State, other.token, other.due = blocked, uuid.Nil, false
		}
	}
}

func (m *pullModel) settle(op pullOp, position int64, token uuid.UUID, nack NackOptions) TokenOutcome {
	r := m.at(position)
	switch {
	case r == nil:
		return TokenGone
	case r.token != token || op == opExtend && r.State != leased:
		return TokenOvertaken
	}
	switch op {
	case opAck:
		m.rows = slices.DeleteFunc(m.rows, func(other *modelRow) bool { return other == r })
		m.acks = append(m.acks, modelRow{Key: r.Key, leasedAt: m.step})
		m.free(r.Key)
	case opNack:
		since, next := r.leasedAt, waiting
		if r.failed {
			since = r.lastAt
		}
		if nack.Delay != nil && *nack.Delay == 0 {
			next = blocked
		}
		m.fails(r, nack.Permanent || r.State == leased && m.worked(r.Key, since), nack.Permanent, next)
		m.takeBack(r)
		if r.State != waiting {
			m.free(r.Key)
		}
	case opExtend:
		r.due = false
	case opRelease:
		m.takeBack(r)
		r.State, r.token, r.due = blocked, uuid.Nil, false
		r.Attempts--
		m.free(r.Key)
	}
	return TokenSettled
}

func (m *pullModel) sweep() {
	var keys []string
	for _, r := range m.rows {
		switch {
		case !r.due:
		case r.State == waiting:
			r.State, r.token, r.due = blocked, uuid.Nil, false
			keys = append(keys, r.Key)
		case r.State == leased:
			late := r.token
			m.fails(r, m.worked(r.Key, r.leasedAt), false, blocked)
			if r.State == blocked {
				r.token = late // one who comes late is not too late as long as nobody has it
			}
			keys = append(keys, r.Key)
			for _, other := range m.rows {
				if other.Key == r.Key && other.Position > r.Position && other.State == leased && !other.due {
					other.State, other.token = blocked, uuid.Nil
				}
			}
		}
	}
	m.free(keys...)
}

func (m *pullModel) want(w wish, position int64) {
	r := m.at(position)
	line, _ := m.line(r.Key)
	switch w {
	case wantDiscard:
		m.rows = slices.DeleteFunc(m.rows, func(other *modelRow) bool { return other == r })
	case wantRetry:
		r.State, r.token, r.due = blocked, uuid.Nil, false
	case wantRedrive:
		*r = modelRow{Position: r.Position, Key: r.Key, State: blocked, leasedAt: r.leasedAt}
		for _, other := range line {
			if other.State == ready || other.State == waiting {
				other.State, other.token, other.due = blocked, uuid.Nil, false
			}
		}
	}
	if !slices.ContainsFunc(line, func(other *modelRow) bool { return other.State == leased }) {
		m.free(r.Key)
	}
}

// Whatever callers, operators and time do, the rows are those of the model.
func TestPulledRowsAreThoseOfTheModel(t *testing.T) {
	t.Parallel()
	steps := 150
	if n, err := strconv.Atoi(os.Getenv("RECOUNT_MODEL_STEPS")); err == nil {
		steps = n
	}
	for _, c := range []struct {
		perKey int
		after  AfterDead
	}{{1, Continue}, {3, Continue}, {1, Hold}, {2, Hold}} {
		t.Run(fmt.Sprint(c.perKey, c.after), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.catches("the rows are those of the model")
			b.mustPut("jobs", fmt.Sprintf(`{"start":"beginning","after_dead":%q,"retry":{"max_attempts":2},"target":{"pull":{"per_key":%d}}}`, c.after, c.perKey))
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			h := &pullHistory{bench: b, random: rand.New(rand.NewPCG(seed, 1)), id: b.id("jobs"),
				model: pullModel{perKey: c.perKey, maxAttempts: 2, hold: c.after == Hold}}
			d := b.status("jobs").Definition
			h.rules = newPullRules(h.id, &d)
			if h.feed = h.do(nil); h.feed.Log == uuid.Nil {
				t.Fatal("there is no feed")
			}
			for range steps {
				h.model.step++
				h.act()
				h.compare()
			}
		})
	}
}

// pullHistory does the same to the database and to the model.
type pullHistory struct {
	*bench
	model    pullModel
	random   *rand.Rand
	id       int64
	rules    pullRules
	feed     pullFeed
	evidence pullEvidence
	tokens   []pullToken
	last     string
}

func (h *pullHistory) do(items []*pullItem, asks ...*pullAsk) pullFeed {
	h.Helper()
	feed, err := h.records.settle(h.Context(), &h.rules, items, asks, &h.evidence)
	if err != nil {
		h.Fatalf("%s: %v", h.last, err)
	}
	return feed
}

func (h *pullHistory) got(rows []pulledRow, want []int64) {
	h.Helper()
	var positions []int64
	for _, row := range rows {
		positions = append(positions, row.Position)
		h.tokens = append(h.tokens, pullToken{h.id, row.Position, row.Token})
	}
	if !slices.Equal(positions, want) {
		h.Fatalf("%s: got %v, the model %v", h.last, positions, want)
	}
}

func (h *pullHistory) act() {
	h.Helper()
	m := &h.model
	n := 1 + h.random.IntN(6)
	switch h.random.IntN(11) {
	case 0, 1:
		key := fmt.Sprintf("k-%d", h.random.IntN(4))
		h.last = "append " + key
		for range 1 + h.random.IntN(2) {
			h.append(key)
			m.log = append(m.log, key)
		}
	case 2, 3:
		h.last = fmt.Sprint("serve ", n)
		ask := &pullAsk{max: n, lease: time.Minute}
		h.feed = h.do(nil, ask)
		h.got(ask.rows, m.serve(n, ask.token))
	case 4:
		h.fill(n)
	case 5, 6, 7:
		h.settle()
	case 8:
		if len(m.rows) > 0 {
			h.age(m.rows[h.random.IntN(len(m.rows))])
		}
	case 9:
		h.last = "sweep"
		h.exec(`UPDATE {schema}.subscription_partitions SET swept_at = NULL, swept_all_at = NULL`)
		// Of the time that passes only that counts which the model knows of.
		for _, r := range m.rows {
			if r.State == waiting && !r.due {
				h.exec(`UPDATE {schema}.subscription_parked SET next_attempt_at = now() + interval '1 hour' WHERE position = $1`, r.Position)
			}
		}
		s, err := h.sweepPulled(h.Context(), &h.rules, &pullNotes{Evidence: h.evidence, Feed: h.do(nil), MaxLive: 1000})
		if err != nil || !s.noted {
			h.Fatalf("sweep: %v, noted %v", err, s.noted)
		}
		h.feed = s.feed
		m.sweep()
	case 10:
		h.want()
	}
}

func (h *pullHistory) fill(n int) {
	h.Helper()
	m := &h.model
	upto := min(m.filled+int64(n), int64(len(m.log)))
	if upto == m.filled {
		return
	}
	h.last = fmt.Sprint("fill up to ", upto)
	var events []offered
	for e, err := range h.store.ReadAll(h.Context(), eventstore.ReadOptions{From: m.filled + 1, Limit: upto - m.filled}) {
		if err != nil {
			h.Fatal(err)
		}
		events = append(events, offered{&e, e.Stream})
	}
	h.feed = h.do(nil)
	ask := &pullAsk{max: n, lease: time.Minute}
	if err := h.records.fill(h.Context(), &h.rules, &h.feed, events, upto, []*pullAsk{ask}); err != nil {
		h.Fatalf("%s: %v", h.last, err)
	}
	h.got(ask.rows, m.fill(upto, n, ask.token))
}

func (h *pullHistory) settle() {
	h.Helper()
	if len(h.tokens) == 0 {
		return
	}
	it := &pullItem{op: pullOp(h.random.IntN(4)), token: h.tokens[max(0, len(h.tokens)-1-h.random.IntN(8))], lease: time.Minute, nack: NackOptions{Error: "no"}}
	if h.random.IntN(2) == 0 {
		it.op = opAck
	}
	switch h.random.IntN(4) {
	case 0:
		it.nack.Permanent = true
	case 1:
		it.nack.Delay = new(time.Duration(0))
	}
	h.last = fmt.Sprintf("settle %d of %d with %+v", it.op, it.token.position, it.nack)
	h.feed = h.do([]*pullItem{it})
	if want := h.model.settle(it.op, it.token.position, it.token.id, it.nack); it.result.Outcome != want {
		h.Fatalf("%s: %s, the model %s", h.last, it.result.Outcome, want)
	}
}

// age lets time pass for a row.
func (h *pullHistory) age(r *modelRow) {
	h.Helper()
	if r.State != leased && r.State != waiting {
		return
	}
	h.last = fmt.Sprint("time passes for ", r.Position)
	h.exec(`UPDATE {schema}.subscription_parked SET next_attempt_at = now() - interval '1 second' WHERE position = $1`, r.Position)
	r.due = true
}

func (h *pullHistory) want() {
	h.Helper()
	for _, r := range h.model.rows {
		if r.State != dead && r.State != waiting || h.random.IntN(2) == 0 {
			continue
		}
		o := DeadOptions{Filter: DeadFilter{Positions: []int64{r.Position}}, Reason: "r", Actor: "me"}
		w := wantRetry
		var err error
		switch {
		case r.State == waiting:
			err = h.admin().RetryNow(h.Context(), "jobs", r.Position, "me")
		case h.random.IntN(3) == 0:
			w = wantDiscard
			_, err = h.admin().Discard(h.Context(), "jobs", o)
		default:
			w = wantRedrive
			_, err = h.admin().Redrive(h.Context(), "jobs", o)
		}
		if h.last = fmt.Sprint(w, " ", r.Position); err != nil {
			h.Fatalf("%s: %v", h.last, err)
		}
		h.model.want(w, r.Position)
		return
	}
}

func (h *pullHistory) compare() {
	h.Helper()
	rows, err := h.db.Pool.Query(h.Context(), h.sql(`SELECT position, key, state, attempts, charged FROM {schema}.subscription_parked ORDER BY position`))
	if err != nil {
		h.Fatal(err)
	}
	type row struct {
		Position          int64
		Key               string
		State             rowState
		Attempts, Charged int
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		h.Fatal(err)
	}
	var want []row
	for _, r := range h.model.rows {
		want = append(want, row{r.Position, r.Key, r.State, r.Attempts, r.Charged})
	}
	slices.SortFunc(want, func(a, b row) int { return cmp.Compare(a.Position, b.Position) })
	if !slices.Equal(got, want) {
		h.Fatalf("after %s there is\n%v\nthe model has\n%v", h.last, got, want)
	}
	if n := read[int](h.bench, `SELECT count(*) FROM {schema}.subscription_parked r JOIN {schema}.subscription_partitions p USING (subscription, partition)
		WHERE state <> 'dead' AND r.position <= p.position OR r.position > p.filled`); n != 0 {
		h.Fatalf("after %s %d rows are at or below the cursor, or above what was filled", h.last, n)
	}
}
