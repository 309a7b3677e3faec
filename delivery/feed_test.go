package delivery

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

// countedReader counts subscriptions to the log from a position.
type countedReader struct {
	eventstore.Reader
	from int64
	n    atomic.Int64
}

func (r *countedReader) Subscribe(ctx context.Context, o eventstore.ReadOptions) iter.Seq2[eventstore.Batch, error] {
	if o.From == r.from {
		r.n.Add(1)
	}
	return r.Reader.Subscribe(ctx, o)
}

// wanting is a consumer that wants everything from a position on.
type wanting struct {
	mu   sync.Mutex
	from int64
	got  []int64
}

func (w *wanting) next() (int64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.from, true
}

func (w *wanting) offer(events []offered, _, upto int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range events {
		w.got = append(w.got, o.event.Position)
	}
	w.from = max(w.from, upto+1)
	return w.from - 1
}

// allWaitFor has a log of three events, and all who read it behind the end waiting for a position. Add adds a consumer.
func (b *bench) allWaitFor(position int64) (f *feed, add func(consumer) *queue) {
	b.Helper()
	for range 3 {
		b.append("order-1")
	}
	log := &countedReader{Reader: b.store, from: position}
	f = newFeed(log, zerolog.Nop())
	var readers sync.WaitGroup
	ctx, cancel := context.WithCancel(b.Context())
	b.Cleanup(func() { cancel(); readers.Wait() })
	for i := range catchUps {
		readers.Go(func() { f.catchUp(ctx, int32(1+i)) })
	}
	selector, err := newSelector(&Definition{Key: Key{By: ByStream}})
	if err != nil {
		b.Fatal(err)
	}
	s := newSource(selector, 1)
	f.addSource(s)
	add = func(c consumer) *queue {
		q := newQueue(s, 0, c)
		f.add(q)
		return q
	}
	add(&wanting{from: position})
	b.eventually(func() error {
		if log.n.Load() < catchUps {
			f.stir()
			return fmt.Errorf("%d of %d readers are there", log.n.Load(), catchUps)
		}
		return nil
	})
	return f, add
}

// Those who wait for the next event before the end of the log is read get to the head when it is, without an event.
func TestWhoIsAtTheEndGetsToTheHeadThatIsReadLater(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f, add := b.allWaitFor(4)
	q := add(&wanting{from: 4})
	f.begin(0, 3)
	b.eventually(func() error {
		if passed := f.passed(q); passed != 3 {
			return fmt.Errorf("it has passed %d, want 3", passed)
		}
		return nil
	})
}

// What was read of a log before it was restored is of another log: who is added since is offered nothing of it.
func TestNothingIsOfferedOfTheLogBefore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f, add := b.allWaitFor(100)
	var lost []eventstore.RecordedEvent
	for position := range int64(9) {
		lost = append(lost, eventstore.RecordedEvent{Event: eventstore.Event{Type: "Lost"}, Stream: "order-1", Position: position + 1})
	}
	f.begin(0, 0)
	f.atHead(0, eventstore.Batch{Events: lost, Next: 10})
	f.forget()
	f.atHead(0, eventstore.Batch{Events: lost, Next: 10})
	next := &wanting{from: 1}
	add(next)
	b.eventually(func() error {
		next.mu.Lock()
		defer next.mu.Unlock()
		if len(next.got) != 3 {
			return fmt.Errorf("positions %v were offered, want 1 to 3", next.got)
		}
		return nil
	})
}

// Those who read behind the end wait for a position that a restored log may not have for long. Who comes with a lower one, as
// a partition does that was taken after the restore, is served at once.
func TestWhoIsBehindDoesNotWaitForWhoIsBeyondTheEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, add := b.allWaitFor(100)
	behind := &wanting{from: 1}
	add(behind)
	b.eventually(func() error {
		behind.mu.Lock()
		defer behind.mu.Unlock()
		if len(behind.got) != 3 {
			return fmt.Errorf("positions %v were offered, want 1 to 3", behind.got)
		}
		return nil
	})
}

// choosy is a consumer that has room for a few events at a time, as a window has, and makes room when the test lets it.
type choosy struct {
	mu         sync.Mutex
	read       int64
	room, most int
	got        []int64
}

func (c *choosy) next() (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read + 1, c.room > 0
}

func (c *choosy) offer(events []offered, from, upto int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read+1 < from {
		return c.read
	}
	for _, o := range events {
		if o.event.Position <= c.read {
			continue
		}
		if c.room == 0 {
			c.read = o.event.Position - 1
			return c.read
		}
		c.room--
		c.got = append(c.got, o.event.Position)
		c.read = o.event.Position
	}
	c.read = max(c.read, upto)
	return c.read
}

// TestTheFeedServesEachWhatMatches, all of it and in order: from the beginning and from the end, whoever can take how much, while
// events come.
func TestTheFeedServesEachWhatMatches(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) eventstore.Store{
		"memstore": func(*testing.T) eventstore.Store { return memstore.New(memstore.Config{}) },
		"pgstore":  func(t *testing.T) eventstore.Store { return newBench(t).store },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			b := &bench{TB: t}
			var last int64
			write := func(n int) {
				for range n {
					a := eventstore.StreamAppend{Stream: fmt.Sprintf("order-%d", rand.IntN(20)), Expected: eventstore.Any}
					for range 1 + rand.IntN(5) {
						e := eventstore.Event{Type: []string{"Placed", "Paid", "Rare"}[min(rand.IntN(20), 2)], Data: fmt.Appendf(nil, `{"n":%d}`, rand.IntN(10))}
						a.Events = append(a.Events, e)
					}
					done, err := store.Append(t.Context(), a, eventstore.AppendOptions{})
					if err != nil {
						t.Fatal(err)
					}
					last = done.Position
				}
			}
			write(1000)
			f := newFeed(store, zerolog.Nop())
			ctx, cancel := context.WithCancel(t.Context())
			var readers sync.WaitGroup
			defer readers.Wait()
			defer cancel()
			readers.Go(func() { f.followHead(ctx) })
			for i := range catchUps {
				readers.Go(func() { f.catchUp(ctx, int32(1+i)) })
			}
			type subscriber struct {
				*source
				from  int64
				parts []*choosy
			}
			var all []subscriber
			for i, filter := range []string{``, `{"type":["Placed"]}`, `{"type":["Rare"]}`, `{"data":{"n":[3,4]}}`, `{"type":["Paid","Rare"],"data":{"n":[{"numeric":["<",5]}]}}`, `{"category":["none"]}`, ``} {
				selector, err := newSelector(&Definition{Filter: []byte(filter), Key: Key{By: ByStream}})
				if err != nil {
					t.Fatal(err)
				}
				s := subscriber{source: newSource(selector, 4), from: int64(i%2) * last}
				f.addSource(s.source)
				for n := range 4 {
					c := &choosy{read: s.from, most: 1 + rand.IntN(2000)}
					c.room = c.most
					s.parts = append(s.parts, c)
					f.add(newQueue(s.source, n, c))
				}
				all = append(all, s)
			}
			wants := func(s subscriber, part int) (want []int64) {
				for e, err := range store.ReadAll(t.Context(), eventstore.ReadOptions{From: s.from + 1}) {
					if err != nil {
						t.Fatal(err)
					}
					matches := !isSystem(&e)
					if s.pattern != nil {
						about := PatternEvent(&e)
						matches = s.pattern.Explain(&about).Matched
					}
					if matches && core.PartitionOf(s.keyOf(&e), len(s.queues)) == part {
						want = append(want, e.Position)
					}
				}
				return want
			}
			for range 20 {
				write(50)
				for _, s := range all {
					for _, c := range s.parts {
						c.mu.Lock()
						c.room = rand.IntN(c.most)
						c.mu.Unlock()
					}
				}
				f.stir()
			}
			for _, s := range all {
				for n, c := range s.parts {
					want := wants(s, n)
					b.eventually(func() error {
						c.mu.Lock()
						c.room = c.most
						got := len(c.got)
						c.mu.Unlock()
						f.stir()
						if got < len(want) {
							return fmt.Errorf("%d of %d events were offered", got, len(want))
						}
						return nil
					})
					if !slices.Equal(c.got, want) {
						t.Errorf("partition %d of %v was offered %v, want %v", n, s.types, c.got, want)
					}
				}
			}
		})
	}
}
