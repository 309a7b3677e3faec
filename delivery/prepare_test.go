package delivery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery/transform"
	"github.com/57528e99/recount/eventstore"
)

// TestBodiesOfAnEventAreDeliveredAsOne: in the order of events and bodies, at most as many at once as the target takes; what fails is
// told of the events.
func TestBodiesOfAnEventAreDeliveredAsOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		atOnce int
		data   []string // a word each: its letters are the bodies; the key is the first word's behind a colon
		fails  string   // the body that fails, ! behind it: the target does not say which
		want   string   // calls of the target
		failed map[int]string
	}{
		{"several", 10, []string{"ab", "", "c"}, "", "abc", nil},
		{"one by one", 1, []string{"ab", "", "c"}, "", "a b c", nil},
		{"in pieces", 2, []string{"abc", "d"}, "", "ab cd", nil},
		{"nothing", 2, []string{"", ""}, "", "", nil},
		{"no JSONata", 10, []string{"a", "1", "b"}, "", "ab", map[int]string{1: "T2001"}},
		{"a key behind", 10, []string{"1:k", "a:k", "b"}, "", "b", map[int]string{0: "T2001", 1: "not tried"}},
		{"a key before", 10, []string{"a:k", "b:k", "1:k", "c:k", "d"}, "", "abd", map[int]string{2: "T2001", 3: "not tried"}},
		{"a key before fails too", 1, []string{"a:k", "b:k", "1:k", "c:k"}, "a", "a", map[int]string{0: "no a", 1: "not tried", 2: "T2001", 3: "not tried"}},
		{"one fails of a batch", 10, []string{"ab", "cd"}, "b", "abcd", map[int]string{0: "no b"}},
		{"one fails alone", 1, []string{"abc:k", "d:k", "e"}, "b", "a b e", map[int]string{0: "no b", 1: "not tried"}},
		{"a batch fails", 10, []string{"ab", "cd"}, "b!", "abcd", map[int]string{-1: "no b"}},
		{"pieces of one fail", 2, []string{"abcd", "e"}, "b!", "ab e", map[int]string{0: "no b"}},
	} {
		var calls []string
		var ids []uuid.UUID
		target := targetFunc(func(_ context.Context, d *Delivery) error {
			call, failed := "", map[int]error{}
			for i, e := range d.Events {
				body := strings.Trim(string(e.Data), `"`)
				if call += body; body == strings.TrimSuffix(c.fails, "!") {
					failed[i] = fmt.Errorf("no %s", body)
				}
				ids = append(ids, e.MessageID)
			}
			d.Exchange.Status = 200
			switch calls = append(calls, call); {
			case len(failed) == 0:
				return nil
			case strings.HasSuffix(c.fails, "!") || len(d.Events) == 1:
				return slices.Collect(maps.Values(failed))[0]
			}
			return &PartialError{failed}
		})
		d := &Definition{Batch: Batch{MaxEvents: c.atOnce}, Transform: &transform.Config{Each: true, JSONata: `data = '1' ? data + 1 : $split(data, '')`}}
		d.Transform.Sample = []byte(`{"data":"1"}`) // which keeps nothing that is stored from starting
		p, err := prepare(d, target, lookups{})
		if err != nil {
			t.Fatal(err)
		}
		delivery := &Delivery{}
		for i, word := range c.data {
			data, key, _ := strings.Cut(word, ":")
			e := Event{RecordedEvent: &eventstore.RecordedEvent{Stream: "s", Event: eventstore.Event{Data: []byte(`"` + data + `"`)}}, Key: key, MessageID: uuid.New()}
			if key == "" {
				e.Key = fmt.Sprint(i)
			}
			delivery.Events = append(delivery.Events, e)
		}
		err = p.Deliver(t.Context(), delivery)
		got, partial := map[int]string{}, new(PartialError)
		if errors.As(err, &partial) {
			for i, failed := range partial.Failed {
				got[i] = failed.Error()
			}
		} else if err != nil {
			got[-1] = err.Error()
		}
		if strings.Join(calls, " ") != c.want || len(got) != len(c.failed) {
			t.Errorf("%s: the target gets %q and %v failed, want %q and %v", c.name, calls, got, c.want, c.failed)
		}
		for i, want := range c.failed {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: of event %d failed %q, want %q", c.name, i, got[i], want)
			}
		}
		slices.SortFunc(ids, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
		if len(slices.Compact(ids)) != len(strings.ReplaceAll(c.want, " ", "")) || len(calls) > 0 && delivery.Exchange.Status != 200 {
			t.Errorf("%s: the ids of messages are %v, the exchange is %+v", c.name, ids, delivery.Exchange)
		}
	}
}

// TestATransformMakesWhatTheTargetGets: of an event it drops nobody waits, one that it fails for is a dead letter at once, however the
// others are, and of both somebody is told why.
func TestATransformMakesWhatTheTargetGets(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, transactional := range []bool{false, true} {
		name := fmt.Sprintf("h%v", transactional)
		var s seen
		take := func(d *Delivery) error {
			for _, e := range d.Events {
				if want := fmt.Sprintf(`{"of":%q}`, e.Stream); string(e.Data) != want {
					return fmt.Errorf("the handler gets %s, want %s", e.Data, want)
				}
				s.add(e)
			}
			return nil
		}
		h := HandleRaw(name, func(_ context.Context, d *Delivery) error { return take(d) })
		if transactional {
			h = HandleTxRaw(name, func(_ context.Context, _ Tx, d *Delivery) error { return take(d) })
		}
		// All that fails before any succeeds: nobody is asked, so it is no outage.
		first := b.events("order-bad", cancelled{})
		dropped := b.events("order-none", placed{})
		last := b.events("order-none", cancelled{})
		good := b.events("order-good", placed{})
		config := transform.Config{JSONata: `stream = 'order-bad' ? stream + 1 : stream = 'order-none' and type = 'OrderPlaced' ? nothing : {'of': stream}`}
		b.process(name, declare(from(AtBeginning, h, func(d *Definition) {
			d.Start, d.Transform, d.Partitions, d.Batch.MaxEvents = Start{Position: first}, &config, 1, 10
		})))
		b.has(&s, last, good)
		b.cursors(name, good, map[string]int{"dead": 1})
		x, err := b.admin().Explain(t.Context(), name, first)
		if err != nil || x.State != IsDead || !strings.Contains(x.Text, `transform "stream = 'order-bad'`) || !strings.Contains(x.Text, "T2001") {
			t.Errorf("of what failed it is said %s: %s, %v", x.State, x.Text, err)
		}
		b.eventually(func() error { // attempts are written a moment later
			if x, err = b.admin().Explain(t.Context(), name, first); err != nil || len(x.Attempts) == 0 || x.Attempts[0].Class != "transform" {
				return fmt.Errorf("the attempts are %+v, %v, want one of class transform", x.Attempts, err)
			}
			return nil
		})
		if x, err = b.admin().Explain(t.Context(), name, dropped); err != nil || x.State != Dropped {
			t.Errorf("of what was dropped it is said %s: %s, %v", x.State, x.Text, err)
		}
		if x, err = b.admin().Explain(t.Context(), name, last); err != nil || x.State != IsDelivered {
			t.Errorf("of what was delivered it is said %s: %s, %v", x.State, x.Text, err)
		}
	}
	decodes := from(AtBeginning, Handle("decodes", func(context.Context, placed, Event) error { return nil }), func(d *Definition) {
		d.Transform = &transform.Config{JSONata: "data"}
	})
	if err := Check(newCodec(t), decodes); !errors.Is(err, errDecodes) {
		t.Errorf("a transform for a handler that decodes is %v, want %v", err, errDecodes)
	}
}
