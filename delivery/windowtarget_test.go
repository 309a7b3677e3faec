package delivery

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/delivery/window"
	"github.com/57528e99/recount/eventstore"
)

// windowed returns what a subscription that counts readings in windows is.
func windowed(name, text string) Definition {
	d, err := ParseDefinition([]byte(strings.ReplaceAll(`{"name":"NAME","start":"beginning","partitions":2,"filter":{"type":["Reading"]},"target":{"window":{`+text+`,
		"time":"$.data.at","delay":"4s","idle":"24h","key":"/data/sensor","stream":"NAME-{key}","type":"NAMEClosed",
		"values":{"n":"count","total":{"sum":"/data/value"},"mean":{"avg":"/data/value"},"last":{"last":"/data/value"}}}}}`, "NAME", name)), name)
	if err != nil {
		panic(err)
	}
	return d
}

// reading returns an event of a sensor at a second.
func reading(sensor string, second int64, value string) eventstore.Event {
	return eventstore.Event{Type: "Reading", SchemaVersion: 1, Data: fmt.Appendf(nil, `{"sensor":%q,"at":%d,"value":%s}`, sensor, 1_700_000_000+second, value)}
}

// closings returns what windows have told, sorted.
func (b *bench) closings(d Definition) (all []string) {
	b.Helper()
	for e, err := range b.store.ReadAll(b.Context(), readFrom(1)) {
		if err != nil {
			b.Fatal(err)
		}
		switch e.Type {
		case d.Target.Window.Type:
			all = append(all, e.Stream+" "+string(e.Data))
		case d.Target.Window.Type + "Late":
			var late struct {
				Start time.Time
				Event struct{ Position int64 }
			}
			if err := json.Unmarshal(e.Data, &late); err != nil {
				b.Fatal(err)
			}
			all = append(all, fmt.Sprintf("%s missed [%d by %d", e.Stream, late.Start.Unix(), late.Event.Position))
		}
	}
	slices.Sort(all)
	return all
}

// folded returns what they should have told of the events in the log: by one Fold for each partition, which package window tests.
func (b *bench) folded(d Definition) (all []string) {
	b.Helper()
	w := newWindowTarget(d, b.records, nil)
	folds := make([]*window.Fold, d.Partitions)
	events := make([][]Event, d.Partitions)
	for i := range folds {
		folds[i] = window.NewFold(&w.config, window.NoWatermark)
	}
	for e, err := range b.store.ReadAll(b.Context(), readFrom(1)) {
		if err != nil {
			b.Fatal(err)
		}
		if e.Type != "Reading" {
			continue
		}
		one := Event{RecordedEvent: &e, Key: keyAt(&e, splitPointer(d.Key.Path))}
		seen, _, err := w.read(&Delivery{Events: []Event{one}})
		if err != nil {
			b.Fatal(err)
		}
		p := core.PartitionOf(one.Key, d.Partitions)
		events[p] = append(events[p], one)
		folds[p].Add(&seen[0])
	}
	for i, f := range folds {
		f.CloseDue()
		for _, c := range f.Closings {
			a := w.closing(&c)
			all = append(all, a.Stream+" "+string(a.Events[0].Data))
		}
		for _, m := range f.Missed {
			e := events[i][m.Event]
			all = append(all, fmt.Sprintf("%s missed [%d by %d", w.streamOf(w.Side, e.Key), m.Start/1_000_000, e.Position))
		}
	}
	slices.Sort(all)
	return all
}

// matched waits until so many events have gone by a subscription.
func (b *bench) matched(name string, n int64) {
	b.Helper()
	b.eventually(func() error {
		got := read[int64](b, `SELECT sum(p.matched) FROM {schema}.subscription_partitions p JOIN {schema}.subscriptions s ON s.id = p.subscription WHERE s.name = $1`, name)
		if got < n {
			return fmt.Errorf("%d events have gone by %s, want %d", got, name, n)
		}
		return nil
	})
}

// same compares what was told with what was to be.
func (b *bench) same(d Definition) {
	b.Helper()
	b.eventually(func() error {
		got, want := b.closings(d), b.folded(d)
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				return fmt.Errorf("%s: of %d closings, want %d, the %dth differs:\n%s\nwant\n%s", d.Name, len(got), len(want), i, strings.Join(got[min(i, len(got)):], "\n"),
					strings.Join(want[min(i, len(want)):], "\n"))
			}
		}
		return nil
	})
}

const keptWindowsSQL = `SELECT coalesce(string_agg(concat_ws(' ', s.name, w.key, start_at, end_at, closed, closings, events, late, w.position, state), E'\n' ORDER BY s.name, w.key, start_at), '')
	FROM {schema}.windows w JOIN {schema}.subscriptions s ON s.id = w.subscription`

// TestWindows are those of the events, each told once, though connections are killed all the while, a process dies in the middle and another
// goes on. What is counted anew from the beginning comes to the same.
func TestWindows(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	b.catches("a window tells once what its events come to")
	all := []Definition{
		windowed("tumbling", `"kind":"tumbling","size":"10s","late":"update","keep":"40s","grace":"2s"`),
		windowed("sliding", `"kind":"sliding","size":"12s","every":"5s","late":"drop"`),
		windowed("session", `"kind":"session","gap":"3s","late":"side","side":"tardy-{key}"`),
	}
	declared := func(c *Config) {
		for _, d := range all {
			c.Subscriptions = append(c.Subscriptions, Subscription{Definition: d})
		}
	}
	victim := func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = "victim" }
	one := b.newProcessWith("one", victim, declared)
	b.start(one)
	b.processWith("two", victim, declared)
	stop := b.killBackends()
	random := rand.New(rand.NewPCG(1, 2))
	var second, readings int64
	for n := range 60 {
		var events []any
		for range 8 {
			second += random.Int64N(2)
			events = append(events, reading(fmt.Sprintf("s%d", random.IntN(6)), second-random.Int64N(14), []string{"1", "0.1", "-2.25", "1e2", "null"}[random.IntN(5)]))
		}
		b.events("sensor-all", events...)
		readings += int64(len(events))
		if n == 30 {
			b.killProcess(one)
		}
	}
	stop()
	for _, d := range all {
		b.matched(d.Name, readings)
		b.same(d)
	}
	listed, err := b.admin().Windows(t.Context())
	if err != nil || len(listed) != len(all) {
		t.Fatal(listed, err)
	}
	counters, err := b.admin().WindowCounters(t.Context())
	if err != nil || len(counters) != len(all) {
		t.Fatal(counters, err)
	}
	for i, w := range listed {
		const countSQL = `SELECT count(*) FROM {schema}.windows w JOIN {schema}.subscriptions s ON s.id = w.subscription WHERE s.name = $1 AND closed = $2`
		if open, keeps := read[int64](b, countSQL, w.Subscription, false), read[int64](b, countSQL, w.Subscription, true); w.Open != open || w.Kept != keeps || open == 0 {
			t.Errorf("%+v, want %d open and %d kept", w, open, keeps)
		}
		if w.Open, w.Kept = 0, 0; w.Closings == 0 || counters[i].Closings != w.Closings || counters[i].Open != 0 || counters[i].Kept != 0 {
			t.Errorf("counters %+v, want %+v", counters[i], w)
		}
	}
	kept, head := read[string](b, keptWindowsSQL), b.head().Position
	for _, d := range all {
		if _, err := b.admin().Reset(t.Context(), d.Name, ResetOptions{To: Start{At: AtBeginning}, Reason: "to count anew"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range all {
		b.matched(d.Name, 2*readings)
	}
	if got := read[string](b, keptWindowsSQL); got != kept {
		t.Errorf("counted anew windows are\n%s\nwant\n%s", got, kept)
	}
	if now := b.head().Position; now != head {
		t.Errorf("%d events were appended when windows were counted anew", now-head)
	}
}

// TestWindowsCloseWhileNothingComes, by the clock, and when they are counted anew nothing is told twice though it would be decided otherwise then.
func TestWindowsCloseWhileNothingComes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	d := windowed("idle", `"kind":"tumbling","size":"1s"`)
	d.Partitions = 1
	d.Target.Window.Delay, d.Target.Window.Idle = 0, Duration(100*time.Millisecond)
	b.process("one", declare(Subscription{Definition: d}))
	told := func(want ...string) {
		t.Helper()
		b.eventually(func() error {
			var got []string
			for _, text := range b.closings(d) {
				var c closingData
				_, data, _ := strings.Cut(text, " ")
				if err := json.Unmarshal([]byte(data), &c); err != nil {
					return err
				}
				got = append(got, fmt.Sprintf("revision %d: %d events, %s", c.Revision, c.Events, c.Values["total"]))
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("windows told %q, want %q", got, want)
			}
			return nil
		})
	}
	anew := func() {
		if _, err := b.admin().Reset(t.Context(), d.Name, ResetOptions{To: Start{At: AtBeginning}, Reason: "to count anew"}); err != nil {
			t.Fatal(err)
		}
	}
	b.events("sensor-a", reading("a", 0, "1.5"))
	told("revision 0: 1 events, 1.5")
	b.events("sensor-a", reading("a", 0, "2"))
	told("revision 0: 1 events, 1.5", "revision 1: 2 events, 3.5")
	b.events("sensor-a", reading("a", 100, "0"))
	told("revision 0: 1 events, 1.5", "revision 1: 2 events, 3.5", "revision 0: 1 events, 0")
	anew() // both events are there before anything closes
	b.matched(d.Name, 6)
	told("revision 0: 1 events, 1.5", "revision 1: 2 events, 3.5", "revision 0: 1 events, 0")
	b.events("sensor-a", reading("a", 0, "1"))
	all := []string{"revision 0: 1 events, 1.5", "revision 1: 2 events, 3.5", "revision 2: 3 events, 4.5", "revision 0: 1 events, 0"}
	told(all...)
	// The last revision has all events, though in the batch that counts them the clock closes nothing.
	b.events("sensor-b", reading("b", 200, "7"))
	told(append(all, "revision 0: 1 events, 7")...)
	if err := b.admin().Pause(t.Context(), d.Name, "test"); err != nil {
		t.Fatal(err)
	}
	b.eventually(func() error {
		if owned := read[int](b, `SELECT count(member) FROM {schema}.subscription_partitions`); owned > 0 {
			return fmt.Errorf("%d partitions are owned", owned)
		}
		return nil
	})
	b.events("sensor-b", reading("b", 200, "1"), reading("b", 300, "0"), reading("b", 200, "2"))
	anew()
	if err := b.admin().Resume(t.Context(), d.Name, "test"); err != nil {
		t.Fatal(err)
	}
	told(append(all, "revision 0: 1 events, 7", "revision 1: 2 events, 8", "revision 2: 3 events, 10", "revision 0: 1 events, 0")...)
	if _, err := b.admin().Reset(t.Context(), d.Name, ResetOptions{To: Start{Position: 2}, Reason: "in between"}); !strings.Contains(fmt.Sprint(err), "would lack events") {
		t.Errorf("it was reset to in between: %v", err)
	}
	if _, err := b.admin().Replay(t.Context(), d.Name, ReplayOptions{From: Start{At: AtBeginning}, Reason: "again", Allow: true}); !strings.Contains(fmt.Sprint(err), "must not be windows") {
		t.Errorf("it was replayed: %v", err)
	}
}

// TestWindowsLateEventThatNobodyCanBeToldOf is a dead letter, and what is behind it is counted.
func TestWindowsLateEventThatNobodyCanBeToldOf(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	d := windowed("tardy", `"kind":"tumbling","size":"1s","late":"side","side":"`+strings.Repeat("x", 300)+`-{key}"`)
	d.Partitions = 1
	b.events("sensor-all", reading("a", 100, "1"), reading(strings.Repeat("k", 250), 0, "2"), reading("a", 200, "3"))
	b.process("one", declare(Subscription{Definition: d}))
	b.eventually(func() error {
		if dead, told := b.status(d.Name).Dead, b.closings(d); dead != 1 || len(told) != 1 || !strings.Contains(told[0], `"total":1}`) {
			return fmt.Errorf("%d dead letters, and windows told %q", dead, told)
		}
		return nil
	})
}
