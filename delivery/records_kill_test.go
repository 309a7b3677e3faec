package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/pgsession"
)

// Several processes take, move and give back the same partitions, also some that have lost them and do not know, while
// backends are killed. Each writes what it got and did into a history; afterwards no epoch was given twice, no cursor
// went back, every move that was accepted began where the one before ended, and nothing above a cursor has a
// row. Nobody ever ran into a deadlock.
func TestMovesAndTakeOversUnderKills(t *testing.T) {
	t.Parallel()
	const processes, partitions = 4, 8
	rounds := 100
	if n, err := strconv.Atoi(os.Getenv("RECOUNT_KILL_ROUNDS")); err == nil {
		rounds = n
	}
	b := newBench(t)
	h := &history{epochs: make(map[int64]string), cursors: make(map[partitionKey]int64)}
	id := b.subscribe("mail", partitions, 0)
	at := b.head()
	done := make(chan struct{})
	var killers, workers sync.WaitGroup
	killers.Go(func() { b.kill(done) })
	for i := range processes {
		workers.Go(func() {
			b.work(h, fmt.Sprint("process ", i), at, id, partitions, rounds, rand.New(rand.NewPCG(uint64(i), 1)))
		})
	}
	workers.Wait()
	close(done)
	killers.Wait()
	if n := read[int64](b, `SELECT count(*) FROM {schema}.subscription_parked r JOIN {schema}.subscription_partitions p USING (subscription, partition) WHERE r.position > p.position`); n != 0 {
		t.Errorf("%d rows are above their cursor", n)
	}
	if h.accepted == 0 || h.refused == 0 || h.killed == 0 || h.takeOvers < partitions {
		t.Errorf("accepted %d, refused %d, killed %d, taken %d: too little happened", h.accepted, h.refused, h.killed, h.takeOvers)
	}
	t.Logf("accepted %d, refused %d, killed %d, taken %d", h.accepted, h.refused, h.killed, h.takeOvers)
}

type history struct {
	sync.Mutex
	epochs                               map[int64]string
	cursors                              map[partitionKey]int64
	accepted, refused, killed, takeOvers int
}

// kill terminates backends at random, but its own.
func (b *bench) kill(done <-chan struct{}) {
	conn := b.db.Connect(b)
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(rand.IntN(200)) * time.Millisecond):
		}
		_, err := conn.Exec(context.WithoutCancel(b.Context()), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'victim' ORDER BY random() LIMIT 1`)
		if err != nil {
			b.Error(err)
		}
	}
}

// ownedState is a partition as one process knows it, which need not be so any more.
type ownedState struct {
	owned
	cursor int64
	rows   map[int64]bool
}

func (b *bench) work(h *history, process string, at eventstore.Token, id int64, partitions, rounds int, random *rand.Rand) {
	pool := b.db.NewPool(b, func(c *pgxpool.Config) {
		pgsession.Configure(c)
		c.ConnConfig.RuntimeParams["application_name"] = "victim"
	})
	r := &records{pool: pool, schema: b.schema}
	ctx := b.Context()
	// failed notes an error, and whether the statement may have been done.
	failed := func(err error) bool {
		if pgerr.Code(err) != "" && !pgerr.IsSessionLost(err) {
			b.Errorf("%s: %v", process, err)
		}
		if err != nil {
			h.Lock()
			h.killed++
			h.Unlock()
		}
		return err != nil
	}
	var m member
	mine := make(map[partitionKey]*ownedState)
	for range rounds {
		if m.ID == 0 || random.IntN(20) == 0 {
			// It begins anew; what it has it keeps in mind, as one does that was frozen.
			var err error
			if m, err = r.join(ctx, process, []string{"handler:h"}); failed(err) {
				m = member{}
				continue
			}
		}
		if random.IntN(4) == 0 {
			// Somebody's time is over.
			_, err := pool.Exec(ctx, r.sql(`UPDATE {schema}.subscription_members SET expires_at = now() - interval '1 second'
				WHERE id = (SELECT member FROM {schema}.subscription_partitions WHERE partition = $1)`), random.IntN(partitions))
			failed(err)
		}
		var want []partitionKey
		for range 1 + random.IntN(partitions) {
			want = append(want, partitionKey{id, random.IntN(partitions)})
		}
		all, err := r.take(ctx, m, at, want)
		if !failed(err) {
			h.took(b, process, all)
			for _, t := range all {
				s := &ownedState{owned: t.owned, cursor: t.Position, rows: make(map[int64]bool)}
				for _, row := range t.Rows {
					s.rows[row.Position] = true
				}
				mine[t.partitionKey] = s
			}
		}
		b.moveAll(ctx, h, r, at, mine, random, failed)
		if random.IntN(5) == 0 {
			var back []owned
			for k, s := range mine {
				if random.IntN(2) == 0 {
					back = append(back, s.owned)
					delete(mine, k)
				}
			}
			failed(r.giveBack(ctx, back))
		}
	}
}

func (h *history) took(b *bench, process string, all []taken) {
	h.Lock()
	defer h.Unlock()
	for _, t := range all {
		h.takeOvers++
		if before, twice := h.epochs[t.Epoch]; twice {
			b.Errorf("epoch %d was given to %s and to %s", t.Epoch, before, process)
		}
		h.epochs[t.Epoch] = process
		if t.Position < h.cursors[t.partitionKey] {
			b.Errorf("partition %s is at %d for its new owner, it was at %d", t.partitionKey, t.Position, h.cursors[t.partitionKey])
		}
		for _, row := range t.Rows {
			if row.Position > t.Position {
				b.Errorf("partition %s is at %d and has a row at %d", t.partitionKey, t.Position, row.Position)
			}
		}
	}
}

// moveAll moves all partitions of a process, in an order of its own, by some positions, with rows that come and go.
func (b *bench) moveAll(ctx context.Context, h *history, r *records, at eventstore.Token, mine map[partitionKey]*ownedState, random *rand.Rand, failed func(error) bool) {
	var moves []move
	for _, s := range mine {
		m := move{owned: s.owned, From: s.cursor, To: s.cursor + 1 + random.Int64N(40), Matched: 1}
		for position := m.From + 1; position <= m.To; position++ {
			// A position is of one partition.
			if position%8 == int64(s.Partition) && random.IntN(2) == 0 {
				m.Put = append(m.Put, parkedRow{Position: position, Key: "k", State: waiting})
			}
		}
		for position := range s.rows {
			if random.IntN(2) == 0 {
				m.Remove = append(m.Remove, position)
			}
		}
		moves = append(moves, m)
	}
	refused, err := r.move(ctx, at, moves)
	if failed(err) {
		// Nobody knows what became of it: it is forgotten, and taken again.
		clear(mine)
		return
	}
	lost := make(map[partitionKey]bool)
	for _, k := range refused {
		lost[k] = true
	}
	h.Lock()
	defer h.Unlock()
	for _, m := range moves {
		if lost[m.partitionKey] {
			h.refused++
			delete(mine, m.partitionKey)
			continue
		}
		h.accepted++
		s := mine[m.partitionKey]
		s.cursor = m.To
		h.cursors[m.partitionKey] = max(h.cursors[m.partitionKey], m.To)
		for _, row := range m.Put {
			s.rows[row.Position] = true
		}
		for _, position := range m.Remove {
			delete(s.rows, position)
		}
	}
}

// A fenced owner and its heir move the same partitions at the same time, each in an order of its own.
func TestMovesOfTheSamePartitionsDoNotDeadlock(t *testing.T) {
	t.Parallel()
	const partitions, rounds = 256, 30
	b := newBench(t)
	id := b.subscribe("mail", partitions, 0)
	at := b.head()
	var want []partitionKey
	for i := range partitions {
		want = append(want, partitionKey{id, i})
	}
	var moves [2][]move
	for _, one := range b.taken(b.joined("first"), want...) {
		moves[0] = append(moves[0], move{owned: one.owned})
	}
	moves[1] = slices.Clone(moves[0])
	slices.Reverse(moves[1])
	var workers sync.WaitGroup
	for _, own := range moves {
		workers.Go(func() {
			for range rounds {
				if refused, err := b.move(t.Context(), at, own); err != nil || len(refused) > 0 {
					t.Errorf("refused %d, %v", len(refused), err)
					return
				}
			}
		})
	}
	workers.Wait()
}
