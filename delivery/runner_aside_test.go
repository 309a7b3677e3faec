package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A target that one process cannot make is another's: of this subscription, and no other of its kind. If nobody can make it
// operators see why.
func TestOneTargetThatCannotBeMadeIsLeftToOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	a := b.admin()
	missing := errors.New("the environment variable TOKEN, which is to have a secret, is not set")
	var got seen
	for _, name := range []string{"broken", "whole"} {
		b.mustPut(name, `{"target":{"sql":{"function":"f"}},"partitions":16,"start":"beginning"}`)
	}
	process := func(name string) *process {
		return b.process(name, func(c *Config) {
			c.Targets = map[string]TargetFactory{KindSQL: func(d Definition) (Target, error) {
				if name == "one" && d.Name == "broken" {
					return nil, missing
				}
				return targetFunc(func(_ context.Context, d *Delivery) error { got.add(d.Events[0]); return nil }), nil
			}}
		})
	}
	process("one")
	b.owned("whole", map[string]int{"one": 16})
	first := b.events("order-1", placed{})
	b.eventually(func() error {
		s := b.status("broken")
		p := s.Partitions[0]
		x, err := a.Explain(t.Context(), "broken", first)
		if err != nil {
			return err
		}
		if p.Trouble == nil || !strings.Contains(p.Trouble.Error, missing.Error()) || s.NoMember || x.Why != BecauseNoOwner || !strings.Contains(x.Text, missing.Error()) {
			return fmt.Errorf("its trouble is %+v, no member %t, explained %+v; want %q", p.Trouble, s.NoMember, x, missing)
		}
		return nil
	})
	two := process("two")
	b.owned("broken", map[string]int{"two": 16})
	b.owned("whole", map[string]int{"one": -1, "two": -1})
	b.has(&got, first, first)
	if s := b.status("broken"); s.Partitions[0].Trouble != nil || s.NoMember {
		t.Errorf("while another process delivers it has the trouble %+v", s.Partitions[0].Trouble)
	}
	if err := two.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.owned("whole", map[string]int{"one": 16})
	b.owned("broken", map[string]int{"one": 0, "two": 0})
}

// A process that is alone keeps what waits for attempts that do not return, and says so; so it does of what it cannot take again.
func TestAProcessAloneSaysWhatDoesNotReturn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	a := b.admin()
	release := make(chan struct{})
	s := &script{fails: func(e Event, _ int) error {
		if e.Stream == "order-1" {
			<-release
		}
		return nil
	}}
	b.process("one", declare(from(AtBeginning, HandleRaw("h", s.handle, Timeout(time.Millisecond)), func(d *Definition) { d.Partitions, d.MaxInFlight = 1, 1 })))
	begun := time.Now()
	stuck := b.events("order-1", placed{})
	other := b.events("order-2", placed{})
	var since time.Time
	b.eventually(func() error {
		p := b.status("h").Partitions[0]
		if len(p.Stuck) != 1 || p.Stuck[0].Position != stuck || p.Stuck[0].Key != "order-1" || p.Trouble == nil || !strings.Contains(p.Trouble.Error, "no other attempt") {
			return fmt.Errorf("stuck is %+v, the trouble %+v; want that of position %d, and that there is no other", p.Stuck, p.Trouble, stuck)
		}
		if since = p.Stuck[0].Since; since.Before(begun.Add(-time.Second)) || since.After(time.Now()) || p.Owner != "one" {
			return fmt.Errorf("it is with %q, stuck since %s, want since %s at the earliest", p.Owner, since, begun)
		}
		return nil
	})
	explained := func(position int64, state ExplainedState, say ...string) {
		t.Helper()
		b.eventually(func() error {
			x, err := a.Explain(t.Context(), "h", position)
			if err != nil || x.State != state {
				return fmt.Errorf("explained as %+v, %v, want %s", x, err, state)
			}
			for _, text := range say {
				if !strings.Contains(x.Text, text) {
					return fmt.Errorf("explained by %q, want it to say %q", x.Text, text)
				}
			}
			return nil
		})
	}
	which := []string{"stuck", fmt.Sprintf("position %d", stuck), since.Format(time.RFC3339)}
	explained(other, UnderWay, which...)
	for _, do := range []func(context.Context, string, string) error{a.Pause, a.Resume} {
		if err := do(t.Context(), "h", "me"); err != nil {
			t.Fatal(err)
		}
		b.owned("h", map[string]int{"one": 0})
	}
	explained(other, NotReadYet, append(which, "only another process")...)
	close(release)
	b.eventually(func() error {
		if got := s.delivered("order-2"); len(got) != 1 {
			return fmt.Errorf("%v were delivered, want %d", got, other)
		}
		if p := b.status("h").Partitions[0]; p.Trouble != nil || len(p.Stuck) > 0 {
			return fmt.Errorf("it is stuck still: %+v", p.Trouble)
		}
		return nil
	})
}
