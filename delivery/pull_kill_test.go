package delivery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgsession"
)

// Callers of several processes pull, acknowledge, give back, extend and come late while events are appended and backends are
// killed. An event is handed out only when those of its key before it were acknowledged by somebody, and to one caller at a time;
// in the end all are acknowledged, and no row is left: none is blocked behind nothing.
func TestPullersUnderKills(t *testing.T) {
	t.Parallel()
	const processes, callers, keys = 3, 3, 12
	rounds := 40
	if n, err := strconv.Atoi(os.Getenv("RECOUNT_KILL_ROUNDS")); err == nil {
		rounds = n
	}
	b := newBench(t)
	b.mustPut("jobs", `{"start":"beginning","retry":{"max_attempts":1000},"target":{"pull":{}}}`)
	h := &pullWitness{bench: b, before: make(map[int64]int64), last: make(map[string]int64), state: make(map[int64]witnessed)}
	var brokers []*Broker
	for range processes {
		pool := b.db.NewPool(b, func(c *pgxpool.Config) {
			pgsession.Configure(c)
			c.ConnConfig.RuntimeParams["application_name"] = "victim"
		})
		brokers = append(brokers, b.broker(func(c *BrokerConfig) { c.Pool, c.Store = pool, b.open() }))
	}
	done := make(chan struct{})
	var killers, workers sync.WaitGroup
	killers.Go(func() { b.kill(done) })
	workers.Go(func() {
		for range 3 * rounds {
			h.append(fmt.Sprintf("k-%d", rand.IntN(keys)))
		}
	})
	for i := range processes * callers {
		workers.Go(func() { h.work(brokers[i%processes], rounds) })
	}
	workers.Wait()
	close(done)
	killers.Wait()
	b.eventually(func() error {
		h.pull(brokers[0], 50, time.Minute, func(p []Pulled) { h.ack(brokers[1], p...) })
		if n := read[int](b, `SELECT count(*) FROM {schema}.subscription_parked`); n > 0 {
			b.exec(`UPDATE {schema}.subscription_parked SET next_attempt_at = now() WHERE state IN ('waiting', 'leased')`)
			return fmt.Errorf("%d rows are left", n)
		}
		if filled, head := read[int64](b, `SELECT filled FROM {schema}.subscription_partitions`), b.head().Position; filled < head {
			return fmt.Errorf("filled up to %d of %d", filled, head)
		}
		return nil
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	for position := range h.before {
		if !h.state[position].acking {
			t.Errorf("event %d was never acknowledged", position)
		}
	}
	if h.got <= len(h.before) || h.failed == 0 {
		t.Errorf("got %d, overtaken %d, failed %d: too little happened", h.got, h.overtaken, h.failed)
	}
	t.Logf("events %d, got %d, overtaken %d, failed %d", len(h.before), h.got, h.overtaken, h.failed)
}

// pullWitness knows what callers have got, and what they said.
type pullWitness struct {
	*bench
	mu     sync.Mutex
	before map[int64]int64  // the event of the same key before one; 0: there is none
	last   map[string]int64 // of each key
	state  map[int64]witnessed

	got, overtaken, failed int
}

type witnessed struct {
	// acking: somebody has begun to acknowledge it.
	acking bool
	// The last caller who got it has it alone until then, unless it says something of it.
	since, until, got time.Time
}

func (h *pullWitness) append(key string) {
	h.mu.Lock()
	defer h.mu.Unlock() // the order of the log is that of the witness
	done, err := h.store.Append(h.Context(), eventstore.StreamAppend{Stream: key, Expected: eventstore.Any,
		Events: []eventstore.Event{{Type: "Happened", Data: []byte(`{}`)}}}, eventstore.AppendOptions{})
	if err != nil {
		h.Error(err)
		return
	}
	h.before[done.Position], h.last[key] = h.last[key], done.Position
}

// pull is Broker.Pull with leases that run out in no time.
func (h *pullWitness) pull(b *Broker, n int, lease time.Duration, do func([]Pulled)) {
	var events []Pulled
	err := b.inQueue(h.Context(), "jobs", func(q *pullQueue) (err error) {
		events, err = q.pull(h.Context(), PullOptions{Max: n, Wait: 50 * time.Millisecond, Lease: lease})
		return err
	})
	got := time.Now()
	h.mu.Lock()
	if err != nil {
		h.failed++
	}
	for i := range events {
		position := events[i].Event.Position
		h.got++
		if before := h.before[position]; before > 0 && !h.state[before].acking {
			h.Errorf("event %d was handed out though %d, of its key, is not acknowledged", position, before)
		}
		s, mine := h.state[position], witnessed{since: events[i].Deadline.Add(-lease), until: events[i].Deadline, got: got}
		first, then := s, mine
		if mine.since.Before(s.since) { // this one was answered late
			first, then = mine, s
		}
		// A transaction may have begun before the lease ran out, and have found the event afterwards.
		if first.until.After(then.got) {
			h.Errorf("event %d was handed out at %v though somebody has it until %v", position, then.got, first.until)
		}
		then.acking = s.acking
		h.state[position] = then
	}
	h.mu.Unlock()
	if len(events) > 0 {
		do(events)
	}
}

// say notes that a caller says something of events: from then on they may be others'.
func (h *pullWitness) say(acking bool, events ...Pulled) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range events {
		s := h.state[events[i].Event.Position]
		s.acking, s.until = s.acking || acking, time.Time{}
		h.state[events[i].Event.Position] = s
	}
}

func (h *pullWitness) ack(b *Broker, events ...Pulled) {
	h.say(true, events...)
	h.told(b.Ack(h.Context(), "jobs", tokensOf(events...)...))
}

func (h *pullWitness) told(results []TokenResult, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.failed++
		if errors.Is(err, context.Canceled) {
			h.Error(err)
		}
	}
	for _, r := range results {
		if r.Outcome == TokenOvertaken {
			h.overtaken++
		}
	}
}

func (h *pullWitness) work(b *Broker, rounds int) {
	var late []Pulled
	for range rounds {
		lease := time.Duration(5+rand.IntN(30)) * time.Millisecond
		if rand.IntN(3) == 0 {
			lease = time.Minute
		}
		h.pull(b, 1+rand.IntN(8), lease, func(events []Pulled) {
			switch rand.IntN(5) {
			case 0:
				h.say(false, events...)
				h.told(b.Nack(h.Context(), "jobs", NackOptions{Delay: new(time.Duration(rand.IntN(50)) * time.Millisecond), Error: "no"}, tokensOf(events...)...))
			case 1:
				late = append(late, events...) // it forgets them, until it comes late
			case 2:
				h.say(false, events...)
				h.told(b.Extend(h.Context(), "jobs", time.Second, tokensOf(events...)...))
				h.ack(b, events...)
			default:
				h.ack(b, events...)
			}
		})
		if len(late) > 0 && rand.IntN(3) == 0 {
			h.ack(b, late[0])
			late = late[1:]
		}
	}
	if len(late) > 0 {
		h.ack(b, late...)
	}
}

// What is filled in while the event before it is acknowledged may be had afterwards, whichever comes first: else it would be
// blocked for ever.
func TestFillsRaceWithAcknowledgements(t *testing.T) {
	t.Parallel()
	for _, perKey := range []int{1, 2} {
		b := newBench(t)
		b.catches("what is of a key is handed out when the event before is acknowledged")
		b.mustPut("jobs", fmt.Sprintf(`{"start":"beginning","target":{"pull":{"per_key":%d}}}`, perKey))
		for range perKey {
			b.append("k-1")
		}
		one, other := b.broker(), b.broker(func(c *BrokerConfig) { c.Store = b.open() })
		first := b.pulled(one, perKey, PullOptions{Max: perKey})
		// Who writes rows waits in the middle of its transaction.
		b.exec(`CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END'`)
		b.exec(`CREATE TRIGGER held AFTER INSERT ON {schema}.subscription_parked FOR EACH STATEMENT EXECUTE FUNCTION held()`)
		conn := b.db.Connect(b)
		if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_lock(7)`); err != nil {
			t.Fatal(err)
		}
		b.append("k-1")
		got := make(chan []Pulled, 1)
		go func() {
			some, err := other.Pull(b.Context(), "jobs", PullOptions{Max: 10, Wait: MaxPullWait / 2})
			for errors.Is(err, context.DeadlineExceeded) { // it was held for longer than a transaction may take
				some, err = other.Pull(b.Context(), "jobs", PullOptions{Max: 10, Wait: MaxPullWait / 2})
			}
			if err != nil {
				b.Error(err)
			}
			got <- some
		}()
		waits := func(kind string) error {
			if n := read[int](b, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = $1`, kind); n == 0 {
				return fmt.Errorf("nobody waits for %s", kind)
			}
			return nil
		}
		b.eventually(func() error { return waits("advisory") })
		// Two acknowledge at once, where there are two.
		var acks sync.WaitGroup
		acked := make(chan struct{})
		for i, broker := range []*Broker{one, b.broker()}[:perKey] {
			acks.Go(func() {
				if results, err := broker.Ack(t.Context(), "jobs", first[i].Token); err != nil || results[0].Outcome != TokenSettled {
					t.Errorf("acknowledged: %v, %v", results, err)
				}
			})
		}
		go func() { acks.Wait(); close(acked) }()
		b.eventually(func() error {
			select {
			case <-acked: // which a wrong one does not wait for
				return nil
			default:
				return waits("transactionid")
			}
		})
		if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_unlock(7)`); err != nil {
			t.Fatal(err)
		}
		<-acked
		if some := <-got; len(some) == 0 || some[0].Event.Position != int64(perKey)+1 {
			t.Fatalf("per_key %d: pulled %v", perKey, positionsOf(some))
		}
	}
}
