package delivery

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
)

// quiet is for a log to which nothing is written that is a warning.
type quiet struct{ *testing.T }

func (q quiet) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(`"warn"`)) {
		q.Errorf("it warns: %s", line)
	}
	return len(line), nil
}

// What was put aside is read again some events at a time: fewer if they are large, but each one of them.
func TestLargeEventsThatWerePutAsideComeInOrder(t *testing.T) {
	t.Parallel()
	const size, streams, each = 700 << 10, 2, 6
	b := newBench(t)
	var broken atomic.Bool
	broken.Store(true)
	var p *process
	s := &script{fails: func(e Event, _ int) error {
		if !bytes.HasPrefix([]byte(e.Stream), []byte("order-")) {
			return nil
		}
		if len(e.Data) != size {
			t.Errorf("the event at %d has %d bytes of data, want %d", e.Position, len(e.Data), size)
		}
		for _, one := range p.allRunning()[0].all() {
			one.rereads.mu.Lock()
			if kept := one.rereads.bytes; kept > keptBytes+size {
				t.Errorf("%d bytes of events are kept, want %d and one event", kept, keptBytes)
			}
			one.rereads.mu.Unlock()
		}
		if broken.Load() {
			return errNot
		}
		return nil
	}}
	var want [streams][]int64
	for i := range streams {
		for range each {
			data := slices.Concat([]byte(`"`), bytes.Repeat([]byte("x"), size-2), []byte(`"`))
			want[i] = append(want[i], b.events(fmt.Sprintf("order-%d", i), eventstore.Event{Type: "OrderPlaced", Data: data}))
		}
	}
	defer b.alive()()
	p = b.newProcess("one", func(c *Config) {
		c.Logger = zerolog.New(quiet{t})
		c.Subscriptions = []Subscription{from(AtBeginning, HandleRaw("h", s.handle), func(d *Definition) { d.Partitions, d.Retry.MaxAttempts = 1, 1000 })}
	})
	b.start(p)
	b.eventually(func() error {
		if n := b.rows("h", "blocked"); n != streams*(each-1) {
			return fmt.Errorf("%d rows are blocked, want %d", n, streams*(each-1))
		}
		return nil
	})
	broken.Store(false)
	for i := range streams {
		b.delivers(s, fmt.Sprintf("order-%d", i), want[i]...)
	}
}
